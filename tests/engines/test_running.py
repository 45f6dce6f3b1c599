"""What was trained on since the last record: the running mean of loss and accuracy, dropout on."""

import numpy as np
import pytest

from ridgeline import RidgelineError, Study
from ridgeline.penalties import L2
from tests.engines.worlds import classes, column, named, numbers, penalty, trained

# 37 examples in batches of 8: five updates an epoch, the last of them of 5 examples.
SIZES = np.array([8, 8, 8, 8, 5] * 4)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_it_is_the_mean_over_examples_of_the_batches_since_the_last_record(dropout: float) -> None:
    build = named("mlp", hidden=[7], dropout=dropout)
    each = trained(classes(), build, evaluate_every=1)
    seldom = trained(classes(), build, evaluate_every=7)
    assert seldom.curves["step"] == [0, 7, 14, 20]
    for metric in ("loss", "accuracy"):
        batch = column(each, f"batch_{metric}")[1:]
        assert column(each, f"running_{metric}")[1:] == pytest.approx(batch)
        expected = [
            np.average(batch[start:stop], weights=SIZES[start:stop])
            for start, stop in ((0, 7), (7, 14), (14, 20))
        ]
        assert column(seldom, f"running_{metric}")[1:] == pytest.approx(expected)
        assert seldom.curves[f"running_{metric}"][0] is None


def test_it_holds_no_penalty_and_no_accuracy_for_a_regression() -> None:
    plain, penalised = (trained(numbers(), named("linear"), r, steps=1) for r in ([], penalty(L2, 50.0)))
    assert column(plain, "running_loss")[1] == column(penalised, "running_loss")[1]
    assert plain.curves["running_accuracy"] == [None, None]


def test_a_loss_that_is_no_number_has_no_mean() -> None:
    outcome = trained(numbers(), named("linear"), lr=1e30, steps=12, evaluate_every=12)
    assert outcome.status == "diverged"
    assert outcome.curves["running_loss"][-1] is None


@pytest.mark.parametrize("name", ["batch", "running"])
def test_a_further_set_cannot_take_its_name(name: str) -> None:
    with pytest.raises(RidgelineError, match=f"{name!r} cannot name a set"):
        Study(
            name="x",
            data={"name": "digits"},
            model={"name": "mlp"},
            train={"lr": 0.1, "steps": 1},
            evaluate={"sets": {name: "train[:9]"}},
        )
