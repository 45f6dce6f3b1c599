"""How far a flat curve seems to rise from its lowest window: the critical values of the verdicts.

    python -m benchmarks.critical_rise --curves 2000

For each number of points, over AR(1) noise of correlation 0 to .95: the 95 % quantile of (end − lowest window) in
standard deviations of a window's mean, as `ridgeline.diagnosis` estimates them, for narrow and wide windows; and the
share of curves beyond the values in use in either.
"""

import argparse

import numpy as np
from scipy.signal import lfilter

from ridgeline.diagnosis._noise import late, noise
from ridgeline.diagnosis._thresholds import CRITICAL_RISE
from ridgeline.diagnosis._windows import WIDE, windows

CORRELATIONS = (0.0, 0.3, 0.5, 0.7, 0.9, 0.95)


def flat(random: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """AR(1) noise of standard deviation 1, shape (n,)."""
    shocks = random.standard_normal(n + 200) * np.sqrt(1.0 - correlation**2)
    return lfilter([1.0], [1.0, -correlation], shocks)[200:]


def rises(n: int, correlation: float, curves: int, seed: int = 0) -> np.ndarray:
    """The rise in narrow and in wide windows of so many curves, in standard deviations, shape (curves, 2)."""
    random = np.random.default_rng(seed)
    found = np.empty((curves, 2))
    for row in found:
        values = flat(random, n, correlation)
        narrow, wide = windows(values), windows(values, WIDE)
        about = noise(late(values))
        row[:] = narrow.rise / about.of_mean(narrow.k), wide.rise / about.of_mean(wide.k)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--curves", type=int, default=2_000)
    options = parser.parse_args()
    print(f"{'points':>6}  {'used':13}" + "".join(f"{f'φ = {c:g}':21}" for c in CORRELATIONS))
    for n, narrow in CRITICAL_RISE["narrow"].items():
        used = np.array([narrow, CRITICAL_RISE["wide"][n]])
        cells = []
        for correlation in CORRELATIONS:
            found = rises(n, correlation, options.curves)
            a, b = np.quantile(found, 0.95, axis=0)
            cells.append(f"{f'{a:.1f}, {b:.1f}  {(found > used).any(axis=1).mean():.1%}':21}")
        print(f"{n:6d}  {f'{used[0]:.1f}, {used[1]:.1f}':13}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
