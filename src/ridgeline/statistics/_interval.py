"""Intervals over seeds that also carry the sampling of the evaluated examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ridgeline.statistics._student import below, quantile

MIN_SEEDS = 3


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        low, high: None below three seeds, where no interval is stated.
        se_seeds: the part of the standard error that training noise brings, s(seeds)/√S.
        se_examples: the part that the sample of evaluated examples brings, s(examples)/√n.
        p: two-sided p-value against 0; None without an interval.
    """

    mean: float
    low: float | None
    high: float | None
    n_seeds: int
    se_seeds: float
    se_examples: float
    p: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def interval(
    by_seed: Sequence[float], by_example: npt.NDArray[np.float64] | None = None, level: float = 0.95
) -> Interval:
    """The mean over seeds and its interval, mean ± t · SE with S − 1 degrees of freedom.

    SE² = s²(seeds)/S + s²(examples)/n_eval. Where the examples bring most of it, S − 1 degrees of freedom are too
    few for it: of equal arms fewer than 5 % are told apart, with few seeds hardly any.

    Args:
        by_seed: one number a seed, shape (S,).
        by_example: one number an evaluated example, the mean over seeds, shape (n_eval,); None where the
            number is no mean over examples.
        level: the coverage, in (0, 1).

    Example:
        >>> found = interval([0.1, 0.2, 0.3])
        >>> round(found.mean, 3), round(found.low, 3), round(found.high, 3)
        (0.2, -0.048, 0.448)
    """
    values = np.asarray(by_seed, dtype=np.float64)
    n = len(values)
    mean = float(values.mean())
    se_seeds = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else 0.0
    se_examples = 0.0
    if by_example is not None and len(by_example) > 1:
        se_examples = float(by_example.std(ddof=1) / np.sqrt(len(by_example)))
    if n < MIN_SEEDS:
        return Interval(mean, None, None, n, se_seeds, se_examples, None)
    se = float(np.hypot(se_seeds, se_examples))
    half = quantile(n - 1, 0.5 + level / 2) * se
    return Interval(mean, mean - half, mean + half, n, se_seeds, se_examples, _p_value(mean, se, n - 1))


def _p_value(mean: float, se: float, freedom: int) -> float:
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return 2.0 * below(freedom, -abs(mean) / se)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number by Holm's step-down rule (1979), in the order given.

    Example:
        >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
        [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return [float(p) for p in adjusted]
