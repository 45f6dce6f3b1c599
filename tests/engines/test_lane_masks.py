"""The masks of a lane are those that its dropout layer draws alone."""

import pytest
import torch

from ridgeline.lanes._masks import LaneDropout, Sources, words_of
from ridgeline.noise import Clock, Dropout, stream_key, words
from ridgeline.noise._counter import _signed

CPU = torch.device("cpu")


def test_words_are_those_of_each_stream_alone() -> None:
    keys = [stream_key(seed, "order", 3) for seed in range(5)]
    found = words_of(torch.tensor([_signed(key) for key in keys]), 11)
    assert torch.equal(found, torch.stack([words(key, 11) for key in keys]))


@pytest.mark.parametrize("seeds", [[3, 1, 1, 7], [1, 2, 3, 4], [5, 5, 5, 5]])
def test_masks_are_those_of_each_layer_alone(seeds: list[int]) -> None:
    rates = [0.0, 0.3, 1.0, 0.5]
    sources = Sources(seeds, CPU)
    lanes = LaneDropout(rates, "dropout/2", sources)
    x = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    for step in (0, 4):
        sources.step = step
        for calls in range(2):  # a layer used twice in a step draws twice
            found = x * lanes.factors(x)
            for lane, (seed, rate) in enumerate(zip(seeds, rates, strict=True)):
                layer = Dropout(rate, "2", Clock(seed, step))
                for _ in range(calls):
                    layer(x[lane])
                assert torch.equal(found[lane], layer(x[lane])), (step, calls, lane)


def test_a_golden_mask() -> None:
    lanes = LaneDropout([0.5, 0.5], "dropout/0", Sources([3, 4], CPU))
    kept = lanes.factors(torch.ones(2, 8))
    assert kept[0].tolist() == [0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0]
