"""Paces: what is timed, by a clock that ticks at every look, and how it is put together."""

import math
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import torch

from ridgeline.lanes import Pace, Program, _pace, pace_of, pace_of_pack, probe
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._solo import Trial
from tests.engines.worlds import CPU, classes, program

DATA = classes(n_train=1_500)
# Examples of the curve's sets, of those that it does not take whole, and of the curve's when it takes at most 32.
CURVE, OTHERS, FEW = 1_200 + 23 + 100 + 8, 1_500 + 19, 32 + 23 + 32 + 8


def ours(seed: int = 0) -> Program:
    """A program whose curve has two sets of its own, one of which changes."""
    sets: dict[str, Any] = {"some": ("train", 0, 100), "last": ("batch", None, None)}
    made = program(DATA, seed=seed)
    return replace(made, training=replace(made.training, train_examples=1_200, sets=sets))


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The updates that are made; every look at the clock is a second after the last."""
    made: list[int] = []
    seconds = count()
    monkeypatch.setattr(_pace, "_now", lambda device: float(next(seconds)))
    for kind in (Trial, Pack):
        real = kind.update

        def counting(self: Any, *args: Any, real: Any = real) -> Any:
            made.append(1)
            return real(self, *args)

        monkeypatch.setattr(kind, "update", counting)
    return made


def of_trial(within: float) -> Pace:
    return pace_of(probe(ours(), CPU), CPU, within)


def of_pack(within: float) -> Pace:
    return pace_of_pack([ours(seed) for seed in range(3)], CPU, "broadcast", within)


@pytest.mark.parametrize("measured", [of_trial, of_pack])
@pytest.mark.parametrize(("within", "expected"), [(math.inf, 11), (8.0, 4), (0.0, 2)])
def test_as_many_updates_as_fit_are_timed(
    measured: Any, within: float, expected: int, updates: list[int]
) -> None:
    pace = measured(within)
    assert len(updates) == expected
    assert pace.step == 1.0  # the first update, which pays for what is set up once, is not among them


@pytest.mark.parametrize("measured", [of_trial, of_pack])
def test_evaluations_are_reckoned_by_their_examples(measured: Any, updates: list[int]) -> None:
    pace = measured(0.0)
    assert pace.point == pytest.approx(CURVE / FEW)
    assert pace.whole == pytest.approx(OTHERS / FEW)


def test_all_of_it_is_start_updates_points_and_the_other_sets_twice() -> None:
    training = ours().training
    pace = Pace(start=1_000.0, step=1.0, point=100.0, whole=10_000.0)
    assert pace.seconds(training) == 1_000.0 + 20 + 5 * 100.0 + 2 * 10_000.0
    at = replace(training, evaluate_at=frozenset({1, 3}))
    assert pace.seconds(at) == 1_000.0 + 20 + 4 * 100.0 + 2 * 10_000.0


def test_a_clock_that_stands_still_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pace, "_now", lambda device: 0.0)
    assert of_trial(1.0).seconds(ours().training) >= 0.0
    assert of_pack(1.0).seconds(ours().training) == 0.0


@pytest.mark.parametrize("measured", [of_trial, of_pack])
def test_measuring_draws_nothing_from_torch(measured: Any) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    measured(0.0)
    assert torch.equal(torch.rand(4), expected)
