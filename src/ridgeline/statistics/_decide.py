"""Deciding a published claim: a difference against a margin, a published figure against one run of ours."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ridgeline.statistics._interval import Interval, holm, interval
from ridgeline.statistics._student import quantile

Outcome: TypeAlias = Literal["reproduced", "refuted", "undecided"]

# Below so many seeds nothing is decided.
ENOUGH_SEEDS = 5


def decide(difference: Interval, margin: float = 0.0) -> Outcome:
    """What the interval of a difference, taken in the claimed direction, says of the claim.

    reproduced: lower > 0 and mean ≥ δ; refuted: upper < δ; else, and below 5 seeds, undecided.

    Args:
        margin: δ ≥ 0, the least difference that the claim is worth.

    Example:
        >>> decide(interval([0.2, 0.3, 0.25, 0.28, 0.22]), 0.1)
        'reproduced'
    """
    if difference.low is None or difference.high is None or difference.n_seeds < ENOUGH_SEEDS:
        return "undecided"
    if difference.low > 0 and difference.mean >= margin:
        return "reproduced"
    return "refuted" if difference.high < margin else "undecided"


def holm_intervals(
    cases: Sequence[tuple[Sequence[float], npt.NDArray[np.float64] | None]],
) -> list[Interval]:
    """Intervals of several comparisons that exclude 0 exactly where Holm's step-down rule rejects at 5 %.

    The r-th smallest of m p-values (r from 0) has level 1 − .05/(m − r), until one is not rejected, whose
    level all others share. Their p-values are Holm's. A comparison of too few seeds for an interval counts
    among the m as one that is not rejected.

    Args:
        cases: what `interval` takes, for each comparison.

    Source: Holm 1979; the intervals are those of Bonferroni over the hypotheses that are left.

    Example:
        >>> wide = holm_intervals([([0.2, 0.3, 0.25], None), ([0.1, -0.1, 0.05], None)])[1]
        >>> wide.excludes_zero
        False
    """
    found = [interval(by_seed, by_example) for by_seed, by_example in cases]
    p_values = [1.0 if one.p is None else one.p for one in found]
    adjusted = holm(p_values)
    left, answers = len(found), dict[int, Interval]()
    for index in sorted(range(len(found)), key=lambda i: (adjusted[i], p_values[i])):
        again = interval(*cases[index], level=1.0 - 0.05 / left)
        answers[index] = again if again.p is None else replace(again, p=adjusted[index])
        left -= again.excludes_zero
    return [answers[i] for i in range(len(found))]


def prediction_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Where one more run falls with 95 %: m ± t · s · √(1 + 1/n), n − 1 degrees of freedom.

    None below three values.

    Example:
        >>> low, high = prediction_interval([1.0, 2.0, 3.0])
        >>> round(low, 2), round(high, 2)
        (-2.97, 6.97)
    """
    found = np.asarray(values, dtype=np.float64)
    n = len(found)
    if n < 3:
        return None
    half = quantile(n - 1, 0.5 + level / 2) * found.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(found.mean() - half), float(found.mean() + half)


def von_neumann(values: Sequence[float] | npt.NDArray[np.float64]) -> float:
    """The standard deviation of a curve about its own trend, √(½ · mean of squared successive differences).

    Slow drift does not count; equal to the ordinary one for independent values.

    Source: von Neumann et al. 1941.

    Example:
        >>> von_neumann([0.0, 1.0, 0.0, 1.0]), von_neumann([5.0, 5.0])
        (0.7071067811865476, 0.0)
    """
    steps = np.diff(np.asarray(values, dtype=np.float64))
    return float(np.sqrt(0.5 * np.mean(np.square(steps)))) if len(steps) else 0.0
