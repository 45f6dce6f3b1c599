"""Early stopping of one arm, with the step chosen on the other seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis._history import Floats
from ridgeline.statistics import Interval, Rise, interval, rise


@dataclass(frozen=True)
class Stopping:
    """An arm's end beside the step at which its seeds would have been stopped.

    Attributes:
        rise: validation loss, end − stop, for each seed at the step that the other seeds choose.
        train: training loss, end − stop, at the same steps.
    """

    rise: Rise
    train: Interval


def stopping(
    steps: npt.NDArray[np.int64], val: Floats, train: Floats, by_example: Floats | None = None
) -> Stopping:
    """What the arm would have saved by stopping early.

    Args:
        steps: shape (points,).
        val, train: data losses, shape (seeds, points).
        by_example: the mean over seeds of each validation example's last − best loss, shape (n_eval,).

    Example:
        >>> steps, val = np.arange(3), np.array([[3.0, 1.0, 2.0]] * 3)
        >>> found = stopping(steps, val, np.array([[3.0, 1.0, 0.5]] * 3))
        >>> found.rise.size.mean, found.train.mean
        (1.0, -0.5)
    """
    changes = []
    for seed in range(len(val)):
        others = np.delete(val, seed, axis=0) if len(val) > 1 else val
        stop = int(others.mean(axis=0).argmin())
        changes.append(float(train[seed, -1] - train[seed, stop]))
    return Stopping(rise(steps, val, by_example), interval(changes))
