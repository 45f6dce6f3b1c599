"""Signs that a logged loss is not what it seems: a penalty inside it, or a scale that accuracy contradicts."""

from collections.abc import Mapping

import numpy as np

from ridgeline.diagnosis._history import Curve, Floats, Role
from ridgeline.diagnosis._thresholds import LATE_FALL, MOVES_WITH, ONE_SIDED, PENALTY_INSIDE, SHORTEST
from ridgeline.diagnosis._windows import windows
from ridgeline.diagnosis.readers._names import recognise

# Losses whose names say that they are no cross-entropy.
_NO_ENTROPY = ("mse", "rmse", "mae")
# A misclassified example has at most probability ½ for its class, so its cross-entropy is at least log 2.
_LEAST_OF_AN_ERROR = float(np.log(2.0))


def excess(train: Floats, val: Floats, noise: float) -> float | None:
    """How far the training loss stands above the held-out one in the first third, as a share of that.

    None unless it falls by the last third, beyond noise: a penalty, whose weights shrink, does that.

    Args:
        train, val: levels of the same windows.
        noise: standard deviation of their difference.
    """
    third = max(len(val) // 3, 1)
    early, late = (float(np.mean((train - val)[part])) for part in (slice(third), slice(-third, None)))
    scale = abs(float(np.mean(val[:third])))
    if early <= PENALTY_INSIDE.value * scale or early - late <= ONE_SIDED.value * noise:
        return None
    return early / scale if scale else None


def moves_with(loss: Curve, penalty: Curve) -> tuple[float, float] | None:
    """By how much a loss changes where the penalty changes by 1, and the standard error of that.

    Least squares over the changes from one point to the next, b = Σ ΔL·ΔR / ΣΔR², without the first third, in
    which both fall. A loss that contains the penalty has b = 1 and what the data loss adds.
    """
    steps, at, here = np.intersect1d(loss.steps, penalty.steps, return_indices=True)
    values, there = loss.values[at][len(steps) // 3 :], penalty.values[here][len(steps) // 3 :]
    finite = np.isfinite(values) & np.isfinite(there)
    moved, by = np.diff(values[finite]), np.diff(there[finite])
    if len(by) < SHORTEST.value or not np.any(by):
        return None
    slope = float(moved @ by / (by @ by))
    left = moved - slope * by
    return slope, float(np.sqrt(left @ left / (len(by) - 1) / (by @ by)))


def penalty_inside(curves: Mapping[Role, Curve]) -> str:
    """A sentence on a held-out loss that moves with the penalty one for one; "" where it does not."""
    loss, penalty = curves.get("val_loss"), curves.get("penalty")
    if loss is None or penalty is None:
        return ""
    found = moves_with(loss, penalty)
    if found is None:
        return ""
    slope, error = found
    # the data loss may fall beside the penalty, so that b is somewhat above 1
    if abs(slope - 1.0) > 2.0 * error + 0.1 or slope - 2.0 * error < MOVES_WITH.value:
        return ""
    return (
        f"the held-out loss moves with the penalty one for one ({slope:.2f} ± {2 * error:.2f}): it seems to contain "
        f"it, {float(penalty.values[-1]):.3g} of {float(loss.values[-1]):.3g} at the end"
    )


def contradictions(curves: Mapping[Role, Curve]) -> list[str]:
    """Sentences on losses whose scale the accuracy beside them contradicts."""
    found = []
    for name, loss, accuracy in (
        ("training", curves.get("train_loss"), curves.get("train_accuracy")),
        ("held-out", curves.get("val_loss"), curves.get("val_accuracy")),
    ):
        if loss is None or accuracy is None or not len(loss) or not len(accuracy):
            continue
        said = recognise(loss.column)
        if said is not None and said.stem in _NO_ENTROPY:
            continue
        value, right = float(loss.values[-1]), float(accuracy.values[-1])
        least = _LEAST_OF_AN_ERROR * (1.0 - right)
        if 0.0 <= value < 0.5 * least:
            found.append(
                f"the {name} loss {value:.3g} is too small for an accuracy of {right:.3f}: a mean cross-entropy would "
                f"be at least {least:.3g}, so it is another loss, or divided once more than it should be"
            )
    return found


def collapse(accuracy: Curve) -> tuple[float, float, float] | None:
    """The step at which an accuracy that held was lost for good, the level held, and the level at the end.

    It must lie within .02 of its best for 20 checks (a quarter of a shorter curve), and end .02 lower.
    """
    finite = np.isfinite(accuracy.values)
    values, steps = accuracy.values[finite], accuracy.steps[finite]
    if len(values) < 12:
        return None
    seen = windows(values)
    held = seen.level >= seen.level.max() - LATE_FALL.value
    stride = max(seen.k // 4, 1)
    if held[-1] or held.sum() * stride < min(20, len(values) // 4):
        return None
    drop = float(np.median(seen.level[held])) - seen.end
    if drop < LATE_FALL.value:
        return None
    last = int(np.flatnonzero(held)[-1])
    return float(steps[round(float(seen.middle[last]))]), seen.end + drop, seen.end
