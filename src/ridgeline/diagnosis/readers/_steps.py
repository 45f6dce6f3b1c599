"""Steps: which column counts them, and what becomes of those that begin again."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis.readers._cells import numbers
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._words import words

_FINEST = ("step", "iter", "batch", "epoch")
# A log may go back this often by being resumed; more often, always to the same step, it counts within epochs.
_RESUMED = 2
# Share of the rows with a number that must have a step.
_COVERED = 0.99


def step_columns(frame: pl.DataFrame) -> dict[str, pl.Series]:
    """The columns that count steps, as numbers, by name; the finest first."""
    named = [(c, name) for c in frame.columns if (name := recognise(c)) is not None and name.kind == "step"]
    named.sort(key=lambda pair: ("global" not in words(pair[0]), _FINEST.index(pair[1].stem)))
    found = {}
    for column, _ in named:
        values = numbers(frame[column]).values
        finite = pl.select(pl.when(values.is_finite()).then(values)).to_series()
        if finite.null_count() < len(finite):
            found[column] = finite
    return found


def covering(steps: dict[str, pl.Series], used: pl.Series) -> str | None:
    """The first column with a step in nearly every row that is used, else the one with the most."""
    rows = int(used.sum())
    counts = {name: int((column.is_not_null() & used).sum()) for name, column in steps.items()}
    for name, count in counts.items():
        if count and count >= _COVERED * rows:
            return name
    return max(counts, key=counts.__getitem__, default=None)


def continued(steps: Floats, epochs: Floats) -> Floats | None:
    """Steps over the whole run, where they are counted within epochs; None where they are not.

    Args:
        steps, epochs: shape (rows,), in the order of the log, finite.
    """
    on = np.diff(epochs) > 0
    if not on.any() or (np.diff(steps)[on] <= 0).mean() < 0.5:
        return None
    gaps = np.diff(np.unique(steps))
    span = steps.max() - steps.min() + (gaps.min() if len(gaps) else 1.0)
    return np.asarray(steps + (epochs - epochs.min()) * span, dtype=np.float64)


def in_order(steps: Floats) -> tuple[Floats, str | None]:
    """Steps that may be sorted, and a note where the log goes back.

    A resumed log repeats steps, and the last value of a step is the one that counts.
    """
    back = np.flatnonzero(np.diff(steps) < 0)
    if not len(back):
        return steps, None
    repeats = len(np.unique(steps)) < len(steps)
    if not repeats:
        return steps, "the rows were not in the order of their steps and were sorted"
    starts = steps[back + 1]
    if len(back) > _RESUMED and np.all(starts == steps[0]):
        return np.arange(1.0, len(steps) + 1.0), (
            f"the steps begin again at {steps[0]:g} {len(back)} times and no column counts the epochs: rows were "
            f"counted instead"
        )
    first = int(back[0])
    more = f" and {len(back) - 1} times more" if len(back) > 1 else ""
    return steps, (
        f"the steps went back from {steps[first]:g} to {steps[first + 1]:g}{more}: the log was resumed, and the last "
        f"value of a step was kept"
    )


def evenly(lengths: Sequence[int], length: int) -> Floats:
    """Where `length` values stand among rows of the longest column: the last of each at its end."""
    longest = max(lengths)
    return np.arange(1, length + 1, dtype=np.float64) * (longest / length) if length else np.zeros(0)
