"""Lanes that take a training pass few at a time: the same trials, whoever takes a turn with whom."""

from typing import Any

import pytest
import torch

from ridgeline.lanes import Outcome, _turns, train
from ridgeline.lanes._pack import Pack
from tests.engines.lanes import ADAM, IMAGES, NESTEROV, SGD, family, layered, packed, rule
from tests.engines.worlds import CPU, classes, named, own, same

WORLDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "mlp": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), {**ADAM, "label_smoothing": 0.1}),
    "layered": (IMAGES, own(layered), NESTEROV),
    "cnn": (IMAGES, named("cnn", channels=[3], hidden=5), SGD),
}


def run(name: str, most: int, monkeypatch: pytest.MonkeyPatch, lanes: int = 5) -> list[Outcome]:
    """Lanes of a world, `most` of them in a turn."""
    data, build, settings = WORLDS[name]
    monkeypatch.setattr("ridgeline.lanes._stacking.at_once", lambda *_: most)
    rules = [rule("L2-coupled"), [], rule("L1-proximal"), rule("L2-loss"), []]
    many = family(data, build, rules[:lanes], [0, 1, 1, 2, 0][:lanes], steps=12, **settings)
    assert len(Pack(many, CPU).state.turns) == (max(1, lanes // most) if most else 1)
    return packed(many)


@pytest.mark.parametrize("name", WORLDS)
def test_turns_of_two_and_more_change_no_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, apart = run(name, 0, monkeypatch), run(name, 2, monkeypatch)
    assert all(same(a, b) for a, b in zip(whole, apart, strict=True))


@pytest.mark.parametrize("name", WORLDS)
def test_a_lane_that_has_its_turn_alone_does_not_know_its_neighbours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, few = run(name, 1, monkeypatch), run(name, 1, monkeypatch, lanes=2)
    assert all(same(a, b) for a, b in zip(many[:2], few, strict=True))


@pytest.mark.parametrize("name", WORLDS)
def test_a_lane_that_has_its_turn_alone_is_the_trial_of_solo(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, build, settings = WORLDS[name]
    (found, _) = run(name, 1, monkeypatch, lanes=2)
    (program,) = family(data, build, [rule("L2-coupled")], [0], steps=12, **settings)
    alone = train(program, CPU)
    for key, w in alone.weights.items():
        torch.testing.assert_close(found.weights[key], w, rtol=1e-4, atol=1e-5)


def test_only_large_activations_make_turns() -> None:
    many = family(classes(), named("mlp", hidden=[7]), [[]] * 40, range(40), steps=1, **SGD)
    assert len(Pack(many, CPU).state.turns) == 1
    assert _turns.at_once(100, 60_000, cpu=True) == 1
