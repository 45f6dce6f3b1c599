"""How noisy a curve is about its trend, and how far the mean of some of its points wanders by chance."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._windows import medians

# Robust standard deviation from the median of absolute values, for normal noise.
_MEDIAN_TO_SD = 1.4826
# Above it a correlation cannot be told from a trend.
LARGEST_CORRELATION = 0.97


@dataclass(frozen=True)
class Noise:
    """AR(1) noise about a trend.

    Attributes:
        sd: standard deviation of one point.
        correlation: φ of neighbouring points, in [0, .97], an upper estimate: too small a φ would make chance
            look like a trend.
    """

    sd: float
    correlation: float

    def of_mean(self, k: int) -> float:
        """The standard deviation of the mean of k successive points."""
        phi, left = self.correlation, 1.0 - self.correlation
        between = phi * (k * left - 1.0 + phi**k) / (left * left)  # Σ (k − l) φ^l over the lags l < k
        return self.sd * math.sqrt(k + 2.0 * between) / k


def noise(values: Floats) -> Noise:
    """The noise of a curve about its quadratic trend.

    Residuals beyond four robust standard deviations are cut back to there: spikes are no noise of the level. φ is
    their first autocorrelation, corrected for the bias that fitting a trend brings, (1 + 3φ + 2(1 + φ))/n, and
    raised by one standard error, 1/√n.

    Args:
        values: shape (n,), finite.
    """
    n = len(values)
    if n < 5:
        return Noise(0.0, 0.0)
    scale = float(np.abs(values).max()) or 1.0
    shown, basis = values / scale, _quadratic(n)
    left = shown - basis @ (basis.T @ shown)
    most = 4.0 * _MEDIAN_TO_SD * float(medians(np.abs(left)))
    left = left.clip(-most, most)
    power = float(left @ left)
    if power <= (1e-12 * n) ** 2:  # rounding
        return Noise(0.0, 0.0)
    phi = float(left[1:] @ left[:-1]) / power
    phi += (1.0 + 3.0 * phi + 2.0 * (1.0 + phi)) / n + 1.0 / math.sqrt(n)
    return Noise(scale * math.sqrt(power / (n - 3)), min(max(phi, 0.0), LARGEST_CORRELATION))


@lru_cache(maxsize=64)
def _quadratic(n: int) -> Floats:
    """An orthonormal basis of the quadratic trends over n points, shape (n, 3)."""
    basis: Floats = np.linalg.qr(np.vander(np.linspace(-1.0, 1.0, n), 3))[0]
    return basis


def late(values: Floats) -> Floats:
    """The second half of a curve, of less than 20 points its last three quarters: the steep start is no noise."""
    n = len(values)
    return values[n // 2 if n >= 20 else n // 4 :]
