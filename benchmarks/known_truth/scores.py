"""Scores of yes-or-no answers against labels: confusion, F1, macro-F1, and a bootstrap over tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
# By rows: (overfit found, overfit missed, not overfit called so, not overfit left alone).
Counts: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A value on all tasks, and its 95 % interval over resampled tasks."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:6.3f} [{self.low:6.3f}, {self.high:6.3f}]"


def counts_of(truth: Flags, said: Flags) -> Counts:
    """Overfit and said so, overfit and not said, not overfit but said so, neither; shape (4,)."""
    pairs = (truth & said, truth & ~said, ~truth & said, ~truth & ~said)
    return np.array([float(pair.sum()) for pair in pairs])


def f1_scores(counts: Counts) -> Floats:
    """F1 of overfit and of not overfit, shape (2, …) for counts of shape (…, 4); 0 where a class is never right."""
    hit, missed, false, left = np.moveaxis(np.asarray(counts, dtype=np.float64), -1, 0)
    wrong = missed + false
    return np.stack([2.0 * right / np.maximum(2.0 * right + wrong, 1.0) for right in (hit, left)])


def macro_f1(counts: Counts) -> Floats:
    """The mean of the two F1 scores, shape (…,) for counts of shape (…, 4)."""
    found: Floats = f1_scores(counts).mean(0)
    return found


def by_task(tasks: Sequence[str], truth: Flags, said: Flags) -> Counts:
    """The counts of each task, in the order in which tasks appear, shape (tasks, 4)."""
    names = np.array(tasks)
    return np.stack([counts_of(truth[names == n], said[names == n]) for n in dict.fromkeys(tasks)])


def draws_of(n_tasks: int, resamples: int, seed: int = 0) -> Floats:
    """How often each task is drawn in each resample, shape (resamples, tasks)."""
    random = np.random.default_rng(seed)
    return random.multinomial(n_tasks, np.full(n_tasks, 1.0 / n_tasks), size=resamples).astype(np.float64)


def spread(counts: Counts, other: Counts | None = None, resamples: int = 2_000, seed: int = 0) -> Spread:
    """Macro-F1 over tasks, or, with `other`, its difference from the other's on the same resampled tasks.

    Args:
        counts, other: by task, shape (tasks, 4).
    """
    draws = draws_of(len(counts), resamples, seed)
    value, drawn = macro_f1(counts.sum(0)), macro_f1(draws @ counts)
    if other is not None:
        value, drawn = value - macro_f1(other.sum(0)), drawn - macro_f1(draws @ other)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Spread(float(value), float(low), float(high))
