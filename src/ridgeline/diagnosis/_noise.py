"""How noisy a curve is about its trend, and how far the mean of some of its points wanders by chance."""

from dataclasses import dataclass

import numpy as np

from ridgeline.diagnosis._history import Floats

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
        lags = np.arange(1, k)
        total = k + 2.0 * float(np.sum((k - lags) * self.correlation**lags))
        return self.sd * float(np.sqrt(total)) / k


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
    t = np.linspace(-1.0, 1.0, n)
    basis = np.stack([np.ones(n), t, t * t - np.mean(t * t)], axis=1)
    scale = float(np.max(np.abs(values))) or 1.0
    shown = values / scale
    left = shown - basis @ np.linalg.lstsq(basis, shown, rcond=None)[0]
    most = 4.0 * _MEDIAN_TO_SD * float(np.median(np.abs(left)))
    left = np.clip(left, -most, most)
    power = float(left @ left)
    if power <= (1e-12 * n) ** 2:  # rounding
        return Noise(0.0, 0.0)
    phi = float(left[1:] @ left[:-1]) / power
    phi += (1.0 + 3.0 * phi + 2.0 * (1.0 + phi)) / n + 1.0 / float(np.sqrt(n))
    return Noise(scale * float(np.sqrt(power / (n - 3))), min(max(phi, 0.0), LARGEST_CORRELATION))


def late(values: Floats) -> Floats:
    """The second half of a curve, of less than 20 points its last three quarters: the steep start is no noise."""
    n = len(values)
    return values[n // 2 if n >= 20 else n // 4 :]
