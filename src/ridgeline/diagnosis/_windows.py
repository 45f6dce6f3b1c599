"""A curve seen through windows of successive points: its level at the end, at its lowest, on the way."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis._history import Floats

# More points than this are taken together first: no judgement needs more, and time stays bounded.
MOST_POINTS = 10_000
# Narrow windows place a minimum; wide ones see a slow rise under more noise.
NARROW, WIDE = 0.05, 0.2


@dataclass(frozen=True)
class Windows:
    """Medians of k successive points.

    Attributes:
        k: points a window, at least 3.
        middle: the index of each window's middle point.
        level: the median of each window; the last window ends with the curve.
    """

    k: int
    middle: Floats
    level: Floats

    @property
    def end(self) -> float:
        """The level at the end."""
        return float(self.level[-1])

    @property
    def lowest(self) -> int:
        """Which window is lowest."""
        return int(self.level.argmin())

    @property
    def rise(self) -> float:
        """The level at the end above the lowest, ≥ 0."""
        return self.end - float(self.level.min())


def width(n: int, share: float = NARROW) -> int:
    """Points a window: max(3, share) of n, all of a shorter curve."""
    return min(max(3, int(np.ceil(n * share))), n)


def windows(values: Floats, share: float = NARROW) -> Windows:
    """Windows over n ≥ 1 finite points, four a width, so that their number stays below 80."""
    places, middle = _places(len(values), share)
    return Windows(places.shape[1], middle, medians(values[places]))


def medians(rows: Floats) -> Floats:
    """The median of each row of finite numbers: np.median spends most of its time on looking for others."""
    n = rows.shape[-1]
    sorted_there = np.partition(rows, ((n - 1) // 2, n // 2), axis=-1)
    found: Floats = 0.5 * (sorted_there[..., (n - 1) // 2] + sorted_there[..., n // 2])
    return found


@lru_cache(maxsize=64)
def _places(n: int, share: float) -> tuple[npt.NDArray[np.int64], Floats]:
    """Which points each window holds, (windows, k), and the index of its middle."""
    k = width(n, share)
    starts = np.arange(n - k, -1, -max(k // 4, 1), dtype=np.int64)[::-1]
    return starts[:, None] + np.arange(k), starts.astype(np.float64) + (k - 1) / 2.0


def thinned(*curves: Floats) -> tuple[Floats, ...]:
    """Curves of equal length, of at most MOST_POINTS points: longer ones as means of successive points."""
    n = len(curves[0])
    if n <= MOST_POINTS:
        return curves
    edges = np.linspace(0, n, MOST_POINTS + 1).astype(np.int64)[:-1]
    counts = np.diff(np.append(edges, n))
    return tuple(np.add.reduceat(curve, edges) / counts for curve in curves)
