"""A study's arms in plain numbers, their order along an axis, and their paired differences."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis._history import Floats
from ridgeline.statistics import Interval, holm_intervals, interval

Which: TypeAlias = Literal["val", "train"]
# A paired difference as `statistics.interval` takes it: one number a seed, one an evaluated example.
Case: TypeAlias = tuple[list[float], Floats | None]


@dataclass(frozen=True)
class PerExample:
    """The losses of the evaluated examples of one trial.

    Attributes:
        ids: which example each is, increasing, shape (n_eval,).
        losses: shape (n_eval,).
    """

    ids: npt.NDArray[np.int64]
    losses: Floats


@dataclass(frozen=True)
class ArmEnd:
    """Where an arm ended.

    Attributes:
        name: its label.
        val, train: final data losses by seed, diverged seeds left out.
        examples: by seed, the validation losses that `val` is the mean of; may be empty.
        amounts: how much of each regularizer it has, those it lacks left out: {"L2": 0.01, "dropout": 0.5}.
        rest: every other setting that varies. Arms are on one axis where these are equal.
        stop: what decides when it stops; "" where that does not vary.
        stopped: the mean number of steps made.
    """

    name: str
    val: Mapping[int, float]
    train: Mapping[int, float]
    examples: Mapping[int, PerExample] = field(default_factory=dict)
    amounts: Mapping[str, float] = field(default_factory=dict)
    rest: Mapping[str, Hashable] = field(default_factory=dict)
    stop: str = ""
    stopped: float = 0.0

    @property
    def loss(self) -> float:
        """The mean validation loss; infinite without a finished seed."""
        return float(np.mean(list(self.val.values()))) if self.val else float("inf")


def stronger(one: ArmEnd, other: ArmEnd) -> bool:
    """Whether `one` is `other` with more of a regularizer and less of none, or stopped earlier.

    Example:
        >>> plain, l2 = ArmEnd("a", {}, {}), ArmEnd("b", {}, {}, amounts={"L2": 0.1})
        >>> stronger(l2, plain), stronger(plain, l2), stronger(plain, plain)
        (True, False, False)
    """
    if one.rest != other.rest:
        return False
    keys = {*one.amounts, *other.amounts}
    more = [one.amounts.get(key, 0.0) - other.amounts.get(key, 0.0) for key in keys]
    if any(difference < 0 for difference in more):
        return False
    if one.stop == other.stop:
        # arms that share a rule of stopping may stop at different steps, which is an outcome, no setting
        return any(difference > 0 for difference in more)
    return one.stopped < other.stopped


def ten_times(one: ArmEnd, other: ArmEnd) -> bool:
    """Whether `one` has at least ten times as much as `other` of some regularizer, and as much of the others."""
    if not stronger(one, other) or one.stop != other.stop or set(one.amounts) != set(other.amounts):
        return False
    ratios = [
        one.amounts[key] / other.amounts[key] for key in one.amounts if one.amounts[key] != other.amounts[key]
    ]
    return all(ratio >= 10.0 * (1.0 - 1e-9) for ratio in ratios)


def paired(one: ArmEnd, other: ArmEnd, which: Which) -> Case | None:
    """The differences one − other by seed, and by validation example, the mean over seeds; None without a pair."""
    ours, theirs = (arm.val if which == "val" else arm.train for arm in (one, other))
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    by_example = None
    if which == "val" and all(seed in one.examples and seed in other.examples for seed in seeds):
        by_example = _by_example([(one.examples[seed], other.examples[seed]) for seed in seeds])
    return [ours[seed] - theirs[seed] for seed in seeds], by_example


def _by_example(pairs: Sequence[tuple[PerExample, PerExample]]) -> Floats | None:
    """Each example's difference, the mean over the seeds that evaluated it."""
    ids, deltas = [], []
    for ours, theirs in pairs:
        if np.array_equal(ours.ids, theirs.ids):
            ids.append(ours.ids)
            deltas.append(ours.losses - theirs.losses)
        else:  # where the data vary between arms, so may the split
            both, mine, its = np.intersect1d(ours.ids, theirs.ids, assume_unique=True, return_indices=True)
            ids.append(both)
            deltas.append(ours.losses[mine] - theirs.losses[its])
    if all(np.array_equal(found, ids[0]) for found in ids[1:]):
        means: Floats = np.mean(deltas, axis=0)
        return means if len(means) else None
    _, place, count = np.unique(np.concatenate(ids), return_inverse=True, return_counts=True)
    return np.bincount(place, np.concatenate(deltas)) / count


@dataclass(frozen=True)
class Difference:
    """What one arm has over another, in validation and training data loss.

    Attributes:
        val, train: as `statistics.holm_intervals` widens them for the number of comparisons.
        val_alone, train_alone: at 95 % each, for saying that a difference is excluded.
    """

    val: Interval
    train: Interval
    val_alone: Interval
    train_alone: Interval


def differences(pairs: Sequence[tuple[ArmEnd, ArmEnd]]) -> list[Difference | None]:
    """Of each pair, one − other, adjusted by Holm over all of them; None without a common seed."""
    vals, trains = ([paired(one, other, which) for one, other in pairs] for which in ("val", "train"))
    places = [i for i, case in enumerate(vals) if case is not None]
    found: list[Difference | None] = [None] * len(pairs)
    val_cases = [case for case in vals if case is not None]
    train_cases = [case for case in trains if case is not None]
    adjusted = zip(places, val_cases, train_cases, _holm(val_cases), _holm(train_cases), strict=True)
    for i, val_case, train_case, val, train in adjusted:
        found[i] = Difference(val, train, interval(*val_case), interval(*train_case))
    return found


def _holm(cases: Sequence[Case]) -> list[Interval]:
    """Holm's intervals over the cases that have one; those of too few seeds are left out of the count."""
    alone = [interval(*case) for case in cases]
    tested = [i for i, one in enumerate(alone) if one.p is not None]
    for i, one in zip(tested, holm_intervals([cases[i] for i in tested]), strict=True):
        alone[i] = one
    return alone


def within(found: Interval, margin: float) -> bool:
    """Whether a difference of ± margin is excluded."""
    return found.low is not None and found.high is not None and -margin < found.low and found.high < margin
