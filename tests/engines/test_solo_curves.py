"""Solo: what the curves and the last evaluation hold, recomputed by another path."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ridgeline.data import Data
from ridgeline.lanes import Outcome, Program, train
from ridgeline.penalties import L1, L2
from ridgeline.select import Rule
from tests.engines.worlds import CPU, classes, column, loaded, named, numbers, penalty, program, trained


def data_loss(built: Program, outcome: Outcome, name: str) -> float:
    """The mean cross entropy of a whole set under the final weights."""
    x, y = built.data.sets[name].batch(torch.arange(len(built.data.sets[name])))
    with torch.no_grad():
        return float(F.cross_entropy(loaded(built, outcome.weights)(x), y))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.3])
@pytest.mark.parametrize("mode", ["loss", "coupled"])
def test_losses_hold_neither_penalty_nor_smoothing_and_the_penalty_has_its_column(
    mode: str, label_smoothing: float
) -> None:
    rules = [Rule("hidden1.weight", L1(0.02), mode), Rule("output.weight", L2(0.3), mode)]  # type: ignore[arg-type]
    built = program(classes(), named("mlp", hidden=[7], dropout=0.2), rules, label_smoothing=label_smoothing)
    outcome = train(built, CPU)
    for name in ("train", "val"):
        assert column(outcome, f"{name}_loss")[-1] == pytest.approx(data_loss(built, outcome, name), rel=1e-5)
        assert outcome.last[name].loss == pytest.approx(data_loss(built, outcome, name), rel=1e-5)
    first, last = (outcome.weights[n].double() for n in ("hidden1.weight", "output.weight"))
    expected = 0.02 * float(first.abs().sum()) + 0.3 * 0.5 * float(last.square().sum())
    assert column(outcome, "penalty")[-1] == pytest.approx(expected, rel=1e-5)
    assert expected > 0.01
    norm = math.sqrt(float(first.square().sum() + last.square().sum()))
    assert column(outcome, "weight_norm")[-1] == pytest.approx(norm, rel=1e-6)


def test_label_smoothing_is_in_the_batch_loss_and_a_penalty_is_not() -> None:
    data = classes()

    def first_batch(strength: float, smoothing: float) -> float:
        rules = penalty(L2, strength)
        found = trained(data, None, rules, steps=1, batch_size=99, label_smoothing=smoothing)
        return float(column(found, "batch_loss")[1])

    start = float(column(trained(data, steps=1), "train_loss")[0])
    assert first_batch(0.0, 0.0) == pytest.approx(start, rel=1e-6)
    assert first_batch(50.0, 0.0) == first_batch(0.0, 0.0)
    assert abs(first_batch(0.0, 0.5) - start) > 1e-3


def test_the_last_losses_are_means_over_examples() -> None:
    outcome = trained(classes())
    sizes = {"train": 37, "val": 23, "test": 19}
    for found in (outcome.last, outcome.best):
        assert {name: len(e.losses) for name, e in found.items()} == sizes
        for evaluation in found.values():
            assert evaluation.loss == float(np.mean(evaluation.losses.numpy(), dtype=np.float64))
            assert evaluation.correct is not None
            assert evaluation.accuracy == int(evaluation.correct.sum()) / len(evaluation.losses)
    assert outcome.last["val"].loss == column(outcome, "val_loss")[-1]
    assert outcome.last["val"].accuracy == column(outcome, "val_accuracy")[-1]


def test_rows_begin_at_0_end_at_the_last_step_and_count_epochs() -> None:
    outcome = trained(classes(), steps=12)  # 37 examples in batches of 8: 5 updates an epoch
    assert outcome.curves["step"] == [0, 5, 10, 12]
    assert outcome.curves["epoch"] == pytest.approx([0.0, 1.0, 2.0, 2.4])
    assert outcome.curves["batch_loss"][0] is None
    assert None not in outcome.curves["batch_loss"][1:]
    assert outcome.steps == 12


def overfitting(data: Data, steps: int) -> Program:
    """Full batches on few examples, at a rate whose validation loss soon rises."""
    return program(data, None, steps=steps, evaluate_every=5, lr=0.5, batch_size=37)


def test_the_best_step_and_its_predictions_are_those_of_the_lowest_validation_loss() -> None:
    data = classes()
    losses = column(train(overfitting(data, 200), CPU), "val_loss")
    outcome = train(overfitting(data, 200), CPU)
    assert outcome.best_step == 5 * int(losses.argmin())
    assert 0 < outcome.best_step < 200
    stopped = train(overfitting(data, outcome.best_step), CPU)
    for name, evaluation in stopped.last.items():
        assert torch.equal(evaluation.losses, outcome.best[name].losses)
    assert outcome.best["val"].loss == losses.min()
    assert not torch.equal(outcome.best["val"].losses, outcome.last["val"].losses)


def test_further_sets_have_their_columns() -> None:
    sets = {"head": ("train", None, 9), "tail": ("val", 20, None), "all_test": ("test", None, None)}
    built = program(classes(), sets=sets, train_examples=11)
    outcome = train(built, CPU)
    last = outcome.last
    for name, part in (
        ("head", last["train"].losses[:9]),
        ("tail", last["val"].losses[20:]),
        ("all_test", last["test"].losses),
        ("train", last["train"].losses[:11]),
    ):
        assert column(outcome, f"{name}_loss")[-1] == pytest.approx(float(part.double().mean()), rel=1e-5)
    assert "test_loss" not in outcome.curves


def test_a_regression_has_no_accuracy_and_half_mse_is_half() -> None:
    whole, half = (trained(numbers(), named("linear"), loss=loss, steps=0) for loss in ("mse", "half_mse"))
    assert whole.curves["val_accuracy"] == [None]
    assert whole.last["val"].correct is None
    np.testing.assert_allclose(half.last["val"].losses, 0.5 * whole.last["val"].losses.numpy(), rtol=1e-6)
    # Half the gradient: twice the learning rate is the same training.
    a = trained(numbers(), named("linear"), loss="mse", lr=0.05)
    b = trained(numbers(), named("linear"), loss="half_mse", lr=0.1)
    torch.testing.assert_close(a.weights, b.weights)
