"""How noisy a curve is about its trend, and how far the levels of its windows wander by chance."""

from dataclasses import dataclass

import numpy as np

from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._windows import Windows

# Robust standard deviation from the median of absolute values, for normal noise.
_MEDIAN_TO_SD = 1.4826
# Above it a correlation cannot be told from a trend.
LARGEST_CORRELATION = 0.95
_GRID = np.linspace(0.0, LARGEST_CORRELATION, 96)
# Of second differences over distance 2 and 1, sd² each, for AR(1) noise of correlation φ: see `noise`.
_RATIO = (1.0 + _GRID) * (3.0 - _GRID**2) / (3.0 - _GRID)


@dataclass(frozen=True)
class Noise:
    """AR(1) noise about a trend.

    Attributes:
        sd: standard deviation of one point.
        correlation: φ of neighbouring points, in [0, .95]; rough above .7, where `level_noise` looks further.
    """

    sd: float
    correlation: float

    def of_mean(self, k: int) -> float:
        """The standard deviation of the mean of k successive points."""
        lags = np.arange(1, k)
        total = k + 2.0 * float(np.sum((k - lags) * self.correlation**lags))
        return self.sd * float(np.sqrt(total)) / k


def noise(values: Floats) -> Noise:
    """The noise of a curve, from second differences y(t−h) − 2y(t) + y(t+h), which no straight trend reaches.

    For AR(1) noise their variance is 2σ²(1 − φʰ)(3 − φʰ); that of h = 2 over that of h = 1 gives φ, to which
    1.65/√n is added to err towards correlation. Medians keep spikes and the steep start out.

    Args:
        values: shape (n,), finite.
    """
    if len(values) < 3:
        return Noise(0.0, 0.0)
    near, far = _spread(values, 1), _spread(values, 2) if len(values) > 4 else None
    if near == 0.0:
        return Noise(0.0, 0.0)
    ratio = float(_RATIO[-1]) if far is None else (far / near) ** 2
    found = float(np.interp(ratio, _RATIO, _GRID))
    phi = min(found + 1.65 / np.sqrt(len(values)), LARGEST_CORRELATION)
    return Noise(near / float(np.sqrt(2.0 * (1.0 - phi) * (3.0 - phi))), phi)


def level_noise(values: Floats, seen: Windows) -> float:
    """The standard deviation of a window's level about the trend, shape ().

    The larger of what the points' own noise gives, and what the levels show one and two widths apart: long
    correlations are seen there alone. The steep start, whose bend is no noise, is left out.

    Args:
        values: shape (n,), finite.
        seen: their windows.
    """
    first = _settled(seen)
    level = seen.level[first:]
    found = [noise(values[int(seen.middle[first]) :]).of_mean(seen.k)]
    width = seen.k // max(seen.k // 4, 1)  # in windows
    apart = [h for h in (width, 2 * width) if len(level) >= 2 * h + 3]
    return max([*found, *(_spread(level, h) / float(np.sqrt(6.0)) for h in apart)])


def _settled(seen: Windows) -> int:
    """The first window within a tenth of the way from the lowest to the first; in the first half at the latest."""
    near = seen.level <= seen.level.min() + 0.1 * (seen.level[0] - seen.level.min())
    return min(int(near.argmax()), len(near) // 2)


def _spread(values: Floats, h: int) -> float:
    """The robust standard deviation of second differences over distance h, about their median: a steady bend."""
    second = values[: -2 * h] - 2.0 * values[h:-h] + values[2 * h :]
    bend = np.median(second) if len(second) >= 5 else 0.0
    return _MEDIAN_TO_SD * float(np.median(np.abs(second - bend)))
