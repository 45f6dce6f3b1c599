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
    others = curves
    if len(curves) > 1:  # the sum of those before a seed and of those after it
        none = np.zeros_like(curves[:1])
        others = np.concatenate([none, curves[:-1].cumsum(axis=0)])
        others += np.concatenate([curves[:0:-1].cumsum(axis=0)[::-1], none])
    stops = others.argmin(axis=1)
    sizes = curves[:, -1] - curves[np.arange(len(curves)), stops]
    mean = curves.mean(axis=0)
    lowest = int(mean.argmin())
    return Rise(interval(sizes.tolist(), by_example), int(steps[lowest]), float(mean[lowest]))
