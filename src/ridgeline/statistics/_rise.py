"""How far a validation curve ends above its minimum, with the minimum chosen on the other seeds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ridgeline.statistics._interval import Interval, interval


@dataclass(frozen=True)
class Rise:
    """The rise of a curve from its minimum to its end.

    Attributes:
        size: last value − value at the stopping step, over seeds.
        step: where the mean curve of all seeds is lowest.
        lowest: the mean curve's value there.
    """

    size: Interval
    step: int
    lowest: float


def rise(
    steps: npt.NDArray[np.int64],
    curves: npt.NDArray[np.float64],
    by_example: npt.NDArray[np.float64] | None = None,
) -> Rise:
    """The rise above a minimum that each seed did not choose itself.

    The minimum of a noisy curve is selected, so a flat curve seems to rise from it. For each seed the
    stopping step is therefore the argmin of the mean curve of the *other* seeds; with one seed it is its
    own, and no interval is stated.

    Args:
        steps: shape (points,).
        curves: one row a seed, shape (seeds, points).
        by_example: the mean over seeds of each example's last − best loss, shape (n_eval,).
    """
    n_seeds = len(curves)
    sizes = []
    for seed in range(n_seeds):
        others = np.delete(curves, seed, axis=0) if n_seeds > 1 else curves
        stop = int(others.mean(axis=0).argmin())
        sizes.append(float(curves[seed, -1] - curves[seed, stop]))
    mean = curves.mean(axis=0)
    lowest = int(mean.argmin())
    return Rise(interval(sizes, by_example), int(steps[lowest]), float(mean[lowest]))
