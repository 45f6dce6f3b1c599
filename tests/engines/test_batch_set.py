"""A further set of the curve: the batch just trained on, evaluated after its update."""

import pytest

from ridgeline import RidgelineError, Study
from tests.engines.worlds import classes, column, trained

AFTER = {"after": ("batch", None, None)}


def test_it_holds_the_examples_of_the_last_update() -> None:
    """With a learning rate of 0 the weights stand still, so that before and after an update are the same."""
    outcome = trained(classes(), lr=0.0, evaluate_every=1, sets=AFTER)
    for metric in ("loss", "accuracy"):
        before, after = column(outcome, f"batch_{metric}"), column(outcome, f"after_{metric}")
        assert after[1:] == pytest.approx(before[1:])
        assert after[0] == after[1]  # at the start, the batch that comes first


def test_it_is_evaluated_after_the_update() -> None:
    """With one batch an epoch, it is the whole training set at every point."""
    outcome = trained(classes(), batch_size=37, evaluate_every=1, sets=AFTER)
    assert column(outcome, "after_loss") == pytest.approx(column(outcome, "train_loss"))
    assert column(outcome, "after_loss")[1] < column(outcome, "batch_loss")[1]


def test_it_is_always_whole() -> None:
    with pytest.raises(RidgelineError, match="'batch', or a slice"):
        Study(
            name="x",
            data={"name": "digits"},
            model={"name": "mlp"},
            train={"lr": 0.1, "steps": 1},
            evaluate={"sets": {"after": "batch[:9]"}},
        )
