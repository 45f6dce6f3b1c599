"""Solo: schedules, clipping, early stopping, divergence."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from ridgeline import RidgelineError
from ridgeline.data import Data
from ridgeline.lanes import EarlyStopping, Schedule, train
from ridgeline.penalties import L2
from tests.engines.worlds import CPU, classes, column, named, numbers, own, penalty, program, trained


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        (Schedule(), [1.0] * 8),
        (Schedule("cosine"), [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]),
        (Schedule("linear"), [1 - k / 8 for k in range(8)]),
        (Schedule("step", every=3, gamma=0.5), [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]),
        (Schedule("constant", warmup=4), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        (Schedule("linear", warmup=4), [0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule: Schedule, factors: list[float]) -> None:
    outcome = trained(classes(), schedule=schedule, steps=8, evaluate_every=1, lr=0.2)
    np.testing.assert_allclose(column(outcome, "lr")[1:], 0.2 * np.array(factors), rtol=1e-12)


def test_the_learning_rate_of_a_schedule_is_the_one_used() -> None:
    data = classes()
    first = trained(data, steps=1, lr=0.2, schedule=Schedule("constant", warmup=4))
    assert torch.equal(
        first.weights["output.weight"], trained(data, steps=1, lr=0.05).weights["output.weight"]
    )


def moved(clip_norm: float | None, strength: float = 0.0) -> float:
    """How far one SGD step of rate 0.1 goes."""
    data, rules = classes(), penalty(L2, strength)
    start, end = (trained(data, None, rules, steps=n, clip_norm=clip_norm).weights for n in (0, 1))
    return math.sqrt(sum(float((end[n] - start[n]).double().square().sum()) for n in start))


def test_clip_norm_bounds_the_whole_gradient_penalty_included() -> None:
    free = moved(None)
    assert moved(free) == pytest.approx(0.1 * free, rel=1e-3)
    assert moved(1e6) == pytest.approx(free)
    assert moved(0.01, strength=5.0) == pytest.approx(0.001, rel=1e-3)


def misleading() -> Data:
    """A line whose validation targets have the other sign: every step on it makes validation worse."""
    data = numbers()
    x, y = data.val.batch(torch.arange(len(data.val)))
    worse = type(data.val)(x, -3.0 * y, data.val.ids)  # type: ignore[arg-type]
    return dataclasses.replace(data, val=worse)


@pytest.mark.parametrize("patience", [1, 4])
def test_early_stopping_stops_and_keeps_the_best_step(patience: int) -> None:
    stopping = EarlyStopping("val_loss", patience)
    outcome = trained(misleading(), named("linear"), early_stopping=stopping, steps=500, lr=0.02)
    assert (outcome.status, outcome.steps, outcome.best_step) == ("done", 5 * patience, 0)
    assert outcome.best["val"].loss == column(outcome, "val_loss")[0] < outcome.last["val"].loss


def test_early_stopping_watches_what_it_is_told() -> None:
    data = misleading()
    train_loss = EarlyStopping("train_loss", 1)
    assert trained(data, named("linear"), early_stopping=train_loss, steps=30, lr=0.02).steps == 30
    never_enough = EarlyStopping("train_loss", 2, min_delta=1e6)
    assert trained(data, named("linear"), early_stopping=never_enough, steps=30, lr=0.02).steps == 10


def test_an_accuracy_is_watched_upwards() -> None:
    stopping = EarlyStopping("train_accuracy", 3)
    outcome = trained(classes(), early_stopping=stopping, steps=2000, lr=0.5)
    accuracy = column(outcome, "train_accuracy")
    assert len(accuracy) - 1 - int(accuracy.argmax()) == 3
    assert accuracy.max() > accuracy[0]


def test_a_trial_that_diverges_stops_and_has_no_last_evaluation() -> None:
    outcome = trained(numbers(), named("linear"), lr=1e6, steps=100)
    assert outcome.status == "diverged"
    assert 0 < outcome.steps < 100
    assert outcome.curves["step"][-1] == outcome.steps
    assert outcome.curves["train_loss"][-1] is None
    assert outcome.curves["train_loss"][0] is not None
    assert (outcome.last, outcome.best, outcome.best_step) == ({}, {}, None)


def test_a_model_with_nothing_to_train_is_refused() -> None:
    def frozen() -> nn.Module:
        return nn.Linear(6, 3).requires_grad_(False)

    with pytest.raises(RidgelineError, match="no trainable parameters"):
        train(program(classes(), own(frozen)), CPU)
