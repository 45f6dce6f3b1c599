"""Penalties travel to other processes; a Regularizer, which lives on objects in memory, says why not."""

import pickle

import numpy as np
import pytest
import torch

import ridgeline
from ridgeline import L1, L2, schedules
from ridgeline.penalties import Schedule


@pytest.mark.parametrize(
    "schedule", [schedules.warmup(1e-3, 5), schedules.cosine(1, 0, 7), schedules.linear(0, 1, 3)]
)
def test_scheduled_penalties_survive_pickling(schedule: Schedule) -> None:
    again = pickle.loads(pickle.dumps(L2(schedule)))
    assert isinstance(again.strength, Schedule)
    assert [again.strength.at(k) for k in range(9)] == [schedule.at(k) for k in range(9)]


def test_sums_survive_pickling() -> None:
    w = torch.randn(3, 2)
    penalty = L1(0.1) + L2(0.2)
    assert torch.equal(pickle.loads(pickle.dumps(penalty)).value(w), penalty.value(w))


def test_a_regularizer_is_refused_with_the_remedy() -> None:
    reg = ridgeline.regularize(torch.nn.Linear(2, 2), L2(0.1))
    with pytest.raises(TypeError, match=r"save reg\.state_dict\(\)"):
        pickle.dumps(reg)


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.int64(1), 1])
def test_numpys_numbers_are_numbers(number: float) -> None:
    assert float(L2(number).value(torch.ones(2))) == pytest.approx(float(number))
