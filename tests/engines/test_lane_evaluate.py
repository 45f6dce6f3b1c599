"""Evaluations of a pack: in pieces that fit the memory, whatever the model computes on its way."""

import torch
from torch import Tensor

from ridgeline.lanes._feed import LaneSet
from ridgeline.lanes._lane_evaluate import LaneEvaluations, View, evaluate_lanes
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._pass import Pass
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
