"""A held-out loss that contains the penalty moves with it one for one; one that does not is left in peace."""

import numpy as np
import pytest

import ridgeline
from ridgeline.diagnosis import Curve, Role, penalty_inside
from ridgeline.diagnosis._history import Floats

STEPS = np.arange(1.0, 101.0)


def curves(noise: float, share: float, seed: int = 0) -> tuple[Floats, Floats]:
    """A data loss that levels off, plus a share of a penalty that falls slowly; and the penalty."""
    random = np.random.default_rng(seed)
    penalty = 3.0 * 0.985**STEPS + 0.5
    data = 0.3 + 0.9**STEPS + noise * random.normal(size=len(STEPS))
    return data + share * penalty, penalty


def said(loss: Floats, penalty: Floats) -> str:
    return penalty_inside({"val_loss": Curve.of(loss, STEPS), "penalty": Curve.of(penalty, STEPS)})


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-2])
def test_it_is_noticed_inside_and_only_there(noise: float) -> None:
    assert "moves with the penalty one for one (1." in said(*curves(noise, 1.0))
    for share in (0.0, 0.3, 2.0):
        assert said(*curves(noise, share)) == ""


def test_noise_that_hides_it_hides_it() -> None:
    for share in (0.0, 1.0):
        assert said(*curves(1.0, share)) == ""


def test_noise_alone_is_taken_for_a_penalty_at_most_rarely() -> None:
    """A slope of 0 with an error so large that 1 is within it is no sign."""
    alarms = sum(bool(said(*curves(noise, 0.0, seed))) for noise in (0.02, 0.05, 0.1) for seed in range(300))
    assert alarms <= 5


def test_what_cannot_be_said() -> None:
    loss, penalty = curves(0.0, 1.0)
    assert said(loss, np.full_like(penalty, 2.0)) == ""
    assert penalty_inside({"val_loss": Curve.of(loss)}) == ""
    few: dict[Role, Curve] = {"val_loss": Curve.of(loss[:6]), "penalty": Curve.of(penalty[:6])}
    assert penalty_inside(few) == ""
    loss[70] = np.nan
    assert "one for one" in said(loss, penalty)


def test_the_verdict_on_a_log_says_so() -> None:
    loss, penalty = curves(1e-3, 1.0)
    train = (0.3 + 0.9**STEPS).tolist()
    for column, there in ((loss, True), (loss - penalty, False)):
        verdict = ridgeline.diagnose(
            {"train_loss": train, "val_loss": column.tolist(), "penalty": penalty.tolist()}
        )
        assert any("moves with the penalty" in line for line in verdict.evidence) is there


def test_a_loss_that_its_accuracy_contradicts_is_named_where_accuracy_judges() -> None:
    """A log with a training loss and accuracies only, as the source of one tutorial prints."""
    log = {
        "train_loss": [0.0046, 0.0035, 0.0027, 0.0023, 0.002, 0.0018, 0.0017, 0.0016],
        "train_accuracy": [0.5, 0.7, 0.75, 0.78, 0.8, 0.82, 0.84, 0.848],
        "val_accuracy": [0.5, 0.7, 0.74, 0.77, 0.79, 0.8, 0.81, 0.813],
    }
    verdict = ridgeline.diagnose(log)
    assert any("too small for an accuracy of 0.848" in line for line in verdict.evidence)
