"""Training and validation of one history at the same points."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ridgeline.diagnosis._history import Curve, Floats, History
from ridgeline.diagnosis._kinds import Metric
from ridgeline.diagnosis._windows import thinned, windows

# What lies beyond is as good as infinite; its square would be.
_LARGEST = 1e100


@dataclass(frozen=True)
class Aligned:
    """One metric of one history, as something to be lowered: losses, or 1 − accuracy.

    Attributes:
        steps, val: shape (n,), finite.
        train: at the same steps, shape (n,); None where the log has none.
        broke: the step of the first number that is not finite with none finite after it.
        broke_in: which curve that is, "training" or "validation".
        dropped: how many numbers before that were not finite.
    """

    steps: Floats
    val: Floats
    train: Floats | None
    broke: float | None
    dropped: int
    broke_in: str = "validation"

    @cached_property
    def val_levels(self) -> Floats:
        """The levels of the windows of `val`."""
        return windows(self.val).level

    @cached_property
    def train_levels(self) -> Floats:
        """The levels of the windows of `train`."""
        assert self.train is not None
        return windows(self.train).level


def aligned(history: History, metric: Metric) -> Aligned | None:
    """The metric's curves on the steps of validation; None where the log has no held-out curve of it.

    Training values logged between two validation points are averaged; where there are none they are
    interpolated.
    """
    val = history.curves.get("val_loss" if metric == "loss" else "val_accuracy")
    train = history.curves.get("train_loss" if metric == "loss" else "train_accuracy")
    if val is None or len(val) == 0:
        return None
    steps, values, broke, dropped = _finite(val)
    at: Floats | None = None
    broke_in = "validation"
    if train is not None and len(train):
        train_steps, train_values, train_broke, more = _finite(train)
        if train_broke is not None and (broke is None or train_broke < broke):
            broke, broke_in = train_broke, "training"
        dropped += more
        at = _at(steps, train_steps, train_values) if len(train_values) else None
    if metric == "accuracy":
        values, at = 1.0 - values, None if at is None else 1.0 - at
    if at is None:
        steps, values = thinned(steps, values)
    else:
        steps, values, at = thinned(steps, values, at)
    return Aligned(steps, values, at, broke, dropped, broke_in)


def _finite(curve: Curve) -> tuple[Floats, Floats, float | None, int]:
    """Steps and values that are finite, where the curve broke for good, and how many others were dropped."""
    finite = np.abs(curve.values) < _LARGEST
    if finite.all():
        return curve.steps, curve.values, None, 0
    last = int(np.flatnonzero(finite)[-1]) if finite.any() else -1
    broke = float(curve.steps[last + 1]) if last + 1 < len(curve) else None
    return curve.steps[finite], curve.values[finite], broke, int(last + 1 - finite.sum())


def _at(steps: Floats, train_steps: Floats, values: Floats) -> Floats:
    """A training curve at the validation's steps."""
    if len(steps) == len(train_steps) and np.array_equal(steps, train_steps):
        return values
    inside = np.interp(steps, train_steps, values)
    ends = np.searchsorted(train_steps, steps, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    if len(steps) > 1:  # the first point has the span of the second before it
        starts[0] = np.searchsorted(train_steps, steps[0] - (steps[1] - steps[0]), side="right")
    sums = np.concatenate([[0.0], np.cumsum(values)])
    counts = ends - starts
    return np.where(counts > 0, (sums[ends] - sums[starts]) / np.maximum(counts, 1), inside)
