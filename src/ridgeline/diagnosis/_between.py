"""Between arms: does one overfit beside a stronger or earlier-stopped one, or is that one simply better?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from ridgeline.diagnosis._arms import ArmEnd, Difference, differences, paired, stronger

RelationKind: TypeAlias = Literal["overfitting", "optimization", "better", "none", "untested"]
RELATIONS: tuple[RelationKind, ...] = get_args(RelationKind)
_RESAMPLES = 1000


@dataclass(frozen=True)
class Relation:
    """An arm A beside the arms that are stronger on its axis, or stopped earlier.

    Attributes:
        kind: overfitting: one, B, has a validation loss lower by δ and a higher training loss. optimization:
            B's training loss is lower as well. better: B's training loss differs within noise. none: no arm
            is shown to be better by δ. untested: there is no such arm, or fewer than three common seeds.
        against: B's place in the study; None for none and untested.
        difference: B − A.
        tested: the places of all arms that A was compared with.
        confidence: for overfitting, the share of seed resamples in which it stands; else None.
    """

    kind: RelationKind
    against: int | None
    difference: Difference | None
    tested: tuple[int, ...]
    confidence: float | None = None


def relation(arms: Sequence[ArmEnd], place: int, delta: float, seed: int = 0) -> Relation:
    """How the arm at `place` stands beside the stronger and earlier-stopped ones.

    A overfits relative to B if val(B) ≤ val(A) − δ, the paired interval excludes 0 after Holm over all B,
    and A's training data loss is the lower one, beyond noise. If B is better on both it is optimization.

    Args:
        delta: δ > 0, in units of the loss.
        seed: of the resampling.
    """
    places = [i for i, arm in enumerate(arms) if stronger(arm, arms[place])]
    found = differences([(arms[i], arms[place]) for i in places])
    tested = [(i, d) for i, d in zip(places, found, strict=True) if d is not None and d.val.low is not None]
    if not tested:
        return Relation("untested", None, None, ())
    others = tuple(i for i, _ in tested)
    better = [(i, d) for i, d in tested if d.val.excludes_zero and d.val.mean <= -delta]
    for kind in RELATIONS[:3]:
        of_kind = [(i, d) for i, d in better if _kind(d) == kind]
        if of_kind:
            against, difference = min(of_kind, key=lambda pair: pair[1].val.mean)
            share = _share(arms[against], arms[place], delta, seed) if kind == "overfitting" else None
            return Relation(kind, against, difference, others, share)
    return Relation("none", None, None, others)


def _kind(difference: Difference) -> RelationKind:
    """Of a B that is better in validation: by what its training loss does."""
    if not difference.train_alone.excludes_zero:
        return "better"
    return "overfitting" if difference.train.mean > 0 else "optimization"


def _share(better: ArmEnd, arm: ArmEnd, delta: float, seed: int) -> float:
    """The share of seed resamples in which B's validation is better by δ and its training worse."""
    val, train = paired(better, arm, "val"), paired(better, arm, "train")
    assert val is not None
    assert train is not None
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(val[0]), (_RESAMPLES, len(val[0])))
    lower = np.asarray(val[0])[drawn].mean(axis=1) <= -delta
    higher = np.asarray(train[0])[drawn].mean(axis=1) > 0
    return float(np.mean(lower & higher))


def over_regularized(arms: Sequence[ArmEnd], place: int, delta: float) -> tuple[int, Difference] | None:
    """The weaker arm with the lowest validation loss among those better on both sets by δ, beyond noise.

    Returns its place and this − weaker, or None.
    """
    places = [i for i, arm in enumerate(arms) if stronger(arms[place], arm)]
    found = differences([(arms[place], arms[i]) for i in places])
    shown = [
        (i, d)
        for i, d in zip(places, found, strict=True)
        if d is not None and all(side.excludes_zero and side.mean >= delta for side in (d.val, d.train))
    ]
    return max(shown, key=lambda pair: pair[1].val.mean) if shown else None


def trailing(arms: Sequence[ArmEnd], best: int, delta: float) -> tuple[bool, ...]:
    """Whether each arm's training loss stands above the best arm's by δ, and its validation loss too, beyond noise.

    A higher training loss alone is what a regularizer that helps brings; it is no underfitting. Holm over all
    arms, since the best of many is flattered.
    """
    others = [i for i in range(len(arms)) if i != best]
    found = dict(zip(others, differences([(arms[i], arms[best]) for i in others]), strict=True))
    return tuple(_trails(found.get(i), delta) for i in range(len(arms)))


def _trails(found: Difference | None, delta: float) -> bool:
    if found is None or not (found.val.excludes_zero and found.train.excludes_zero):
        return False
    return found.val.mean > 0 and found.train.mean >= delta
