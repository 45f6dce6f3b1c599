"""diagnose(): from a history of any kind to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ridgeline.diagnosis._align import aligned
from ridgeline.diagnosis._by_metric import by_metric, without_held_out
from ridgeline.diagnosis._evidence import Words
from ridgeline.diagnosis._features import features_of
from ridgeline.diagnosis._history import History, Role
from ridgeline.diagnosis._kinds import Verdict
from ridgeline.diagnosis._rules import Beside
from ridgeline.diagnosis._together import together
from ridgeline.diagnosis.readers import read
from ridgeline.errors import RidgelineError


def diagnose(
    history: Any,
    *,
    columns: Mapping[Role, str] | None = None,
    null_loss: float | None = None,
    n_classes: int | None = None,
    target: float | None = None,
    delta: float | None = None,
    best_train_loss: float | None = None,
    weaker: Any = None,
    data_loss_alone: bool = False,
    resamples: int = 200,
    seed: int = 0,
) -> Verdict:
    """Is it overfitting, underfitting, over-regularized, and can we be sure?

    Kinds, tried in this order: "diverged", "undertrained", "overfitting", "underfitting", "over_regularized",
    "well_fitted", "undecided"; their rules and thresholds: docs/verdicts.md. The loss is judged where there is
    one, and accuracy beside it (`.other`).

    Args:
        history: one arm: what `ridgeline.diagnosis.read` takes (a path, dict, frame, Keras History), a
            History, or several of them, its seeds.
        columns: by role ("train_loss", "val_loss", "train_accuracy", "val_accuracy"), where names are unusual.
        null_loss: the loss of a predictor that knows nothing; by default log(n_classes), else the start of the
            held-out curve.
        n_classes: ≥ 2; also gives accuracy its null, 1/n_classes.
        target: the training skill wanted, 1 − loss/null loss, in (0, 1].
        delta: the least difference in loss worth a word; by default 2 % of (null − best loss).
        best_train_loss: the lowest training loss of the study's arms.
        weaker: the history of an arm with a weaker penalty.
        data_loss_alone: the training loss is known to hold no penalty and to be measured as validation is, so
            that the two may be compared wherever training lies.
        resamples: ≥ 0, for the confidence; 0 leaves it out.
        seed: of the resampling.

    Raises:
        RidgelineError: for a history that cannot be read, or holds several arms.

    Example:
        >>> import ridgeline
        >>> train = [2.0 * 0.7**k for k in range(20)]
        >>> val = [0.5 + 1.5 * 0.6**k + 0.02 * k for k in range(20)]
        >>> verdict = ridgeline.diagnose({"loss": train, "val_loss": val})
        >>> verdict.kind
        'overfitting'
        >>> print(verdict.evidence[0])
        validation loss rose 0.175 ± ... above its minimum at row 8 while training loss fell from 0.1647 to 0.003257
    """
    _check(null_loss, n_classes, target, delta, resamples)
    runs = read(history, columns=columns)
    _one_arm(runs)
    beside = Beside(target=target, best_train=best_train_loss, penalty=_penalty_share(runs))
    if weaker is not None:
        beside = replace(beside, weaker=_levels(read(weaker, columns=columns)))
    if null_loss is None and n_classes is not None:
        null_loss = float(np.log(n_classes))
    beside = replace(beside, pure=data_loss_alone)
    by_loss = by_metric(runs, "loss", null_loss, delta, beside, resamples, seed)
    null_error = None if n_classes is None else 1.0 - 1.0 / n_classes
    plain = Beside(target=target, pure=data_loss_alone)
    by_accuracy = by_metric(runs, "accuracy", null_error, None, plain, resamples, seed)
    if by_loss is not None:
        return replace(by_loss, other=by_accuracy)
    if by_accuracy is None:
        return without_held_out(runs, null_loss, null_error)
    unused = "delta is in units of a loss and was not used: the log has no held-out loss"
    return by_accuracy if delta is None else replace(by_accuracy, evidence=(*by_accuracy.evidence, unused))


def _check(
    null_loss: float | None, n_classes: int | None, target: float | None, delta: float | None, resamples: int
) -> None:
    for name, value in (("null_loss", null_loss), ("delta", delta)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise RidgelineError(f"{name} is {value}; give a number above 0, or leave it out.")
    if n_classes is not None and n_classes < 2:
        raise RidgelineError(f"n_classes is {n_classes}; give 2 or more, or leave it out.")
    if target is not None and not 0 < target <= 1:
        raise RidgelineError(f"target is {target}; it is a training skill, 1 − loss/null loss, in (0, 1].")
    if resamples < 0:
        raise RidgelineError(f"resamples is {resamples}; give 0 or more.")


def _one_arm(runs: Sequence[History]) -> None:
    arms = list(dict.fromkeys(run.arm for run in runs))
    if len(arms) > 1:
        shown = ", ".join(arms[:4]) + (", …" if len(arms) > 4 else "")
        raise RidgelineError(
            f"the log holds {len(arms)} arms ({shown}); diagnose one at a time, of ridgeline.diagnosis.read(…), or "
            f"all by `ridgeline diagnose`."
        )


def _levels(runs: Sequence[History]) -> tuple[float, float] | None:
    """Training and held-out loss at the end."""
    found = [one for one in (aligned(run, "loss") for run in runs) if one is not None and len(one.val)]
    if not found:
        return None
    f = features_of(together(found, Words("loss", runs[0].unit))[0])
    return None if f.train is None else (f.train.last, f.val.last)


def _penalty_share(runs: Sequence[History]) -> float | None:
    """The penalty's last value over the training loss's, the mean over runs; None where either is not logged."""
    shares = []
    for run in runs:
        penalty, loss = run.curves.get("penalty"), run.curves.get("train_loss")
        if penalty is not None and loss is not None and len(penalty) and len(loss) and loss.values[-1] > 0:
            shares.append(float(penalty.values[-1] / loss.values[-1]))
    return float(np.mean(shares)) if shares else None
