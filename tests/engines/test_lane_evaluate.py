"""Evaluations of a pack: in pieces that fit the memory, whatever the model computes on its way."""

import math

import pytest
import torch
from torch import Tensor

from ridgeline.lanes._feed import LaneSet
from ridgeline.lanes._lane_evaluate import LaneEvaluations, View, evaluate_lanes, weight_facts
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._pass import Pass
from ridgeline.lanes._stack import layout_of
from tests.engines.lanes import IMAGES, SGD, family
from tests.engines.worlds import CPU, named


def test_a_wide_model_is_evaluated_in_pieces_of_few_lanes() -> None:
    x, y = torch.randn(50, 4), torch.arange(50) % 3
    view = View(LaneSet(x, y, torch.zeros(6, dtype=torch.int64), 50))
    weights = {"w": torch.randn(6, 3, 4)}
    pieces: list[tuple[int, int]] = []

    def layer(here: Pass, x: Tensor) -> Tensor:
        pieces.append((x.shape[0], x.shape[1]))
        return x @ here.weights["w"].mT

    def run(numbers: int) -> LaneEvaluations:
        pieces.clear()
        return evaluate_lanes(layer, weights, view, "cross_entropy", 6, numbers)

    whole = run(3)
    assert pieces == [(6, 50)]
    cut = run(1 << 16)
    assert len(pieces) > 1
    assert sum(lanes * examples for lanes, examples in pieces) == 6 * 50
    assert all(lanes * examples << 16 <= 1 << 23 or lanes <= 3 for lanes, examples in pieces)
    torch.testing.assert_close(cut.losses, whole.losses)


def test_a_pack_knows_what_its_model_computes() -> None:
    programs = family(IMAGES, named("cnn", channels=[3], hidden=5), [[], []], [0, 1], **SGD)
    channels, pooled, hidden, classes = 3 * 16, 3 * 4, 5, 3
    assert Pack(programs, CPU).state.numbers >= channels + pooled + hidden + classes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(5, 7), (40, 64), (64, 64)])
def test_facts_of_weights_are_those_of_float64(dtype: torch.dtype, shape: tuple[int, int]) -> None:
    layout = layout_of({"w": torch.zeros(shape, dtype=dtype), "b": torch.zeros(9, dtype=dtype)})
    flat = layout.empty(5)
    w = layout.views(flat, 5)["w"]
    w.copy_(torch.randn(w.shape, generator=torch.Generator().manual_seed(0)))
    before = weight_facts(layout, flat, 5)
    w[1].mul_(1e30)  # its squares are no numbers of float32
    w[2, :3] = 0.0
    w[3].mul_(1e-24)  # nor are these
    layout.views(flat, 5)["b"].fill_(5.0)  # no weight
    facts = weight_facts(layout, flat, 5)
    exact = w.double().flatten(1).square().sum(1).sqrt()
    assert facts["weight_norm"] == pytest.approx(exact.tolist(), rel=1e-6, abs=0.0)
    assert facts["zero_share"] == [0.0, 0.0, 3 / shape[0], 0.0, 0.0]
    w[2, 0, 0] = torch.nan
    last = weight_facts(layout, flat, 5)["weight_norm"]
    assert math.isnan(last[2])
    for lane in (0, 4):  # no bit of its neighbours
        assert before["weight_norm"][lane] == facts["weight_norm"][lane] == last[lane]
