"""What each regularizer of a study does: acts, helps, hurts, nothing, or nothing more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ridgeline.diagnosis._arms import ArmEnd, Difference, differences, stronger, ten_times, within

EffectKind: TypeAlias = Literal["helps", "hurts", "acts", "negligible", "saturated", "undecided"]
EFFECTS: tuple[EffectKind, ...] = get_args(EffectKind)


@dataclass(frozen=True)
class RegularizerEffect:
    """A regularized arm beside the one that lacks the regularizer.

    Attributes:
        kind: helps, hurts: its validation loss is lower, higher by δ and beyond noise. acts: training
            changes, while validation is not shown to change by δ. negligible: a change of δ is excluded on
            both sets. saturated: it acts or hurts, and ten times the strength changes nothing more.
            undecided: within noise that would hide δ, or fewer than three seeds.
        reference: the place of the arm that it is compared with.
        difference: this − reference.
        plateau: where ten times as much, or a tenth, changes neither set by δ: the place of that arm.
    """

    kind: EffectKind
    reference: int
    difference: Difference
    plateau: int | None = None


def reference_of(arms: Sequence[ArmEnd], place: int, baseline: int) -> int | None:
    """The arm that lacks the regularizer and is equal otherwise; the weakest where all have it; None if it is that.

    Args:
        baseline: the study's, which goes before others that are as weak.
    """
    weaker = [i for i, arm in enumerate(arms) if stronger(arms[place], arm)]
    ends = [i for i in weaker if not any(stronger(arms[i], arms[j]) for j in weaker)]
    if baseline in ends:
        return baseline
    return min(ends, key=lambda i: (arms[i].loss, i)) if ends else None


def effects(arms: Sequence[ArmEnd], baseline: int, delta: float) -> list[RegularizerEffect | None]:
    """The effect of every arm that has a weaker one; Holm over all of them.

    Args:
        delta: δ > 0, in units of the loss.
    """
    compared = [(i, reference_of(arms, i, baseline)) for i in range(len(arms))]
    pairs = [(i, reference) for i, reference in compared if reference is not None]
    found: list[RegularizerEffect | None] = [None] * len(arms)
    for (i, reference), difference in zip(
        pairs, differences([(arms[i], arms[reference]) for i, reference in pairs]), strict=True
    ):
        if difference is not None:
            found[i] = RegularizerEffect(_kind(difference, delta), reference, difference)
    return [effect and _with_plateau(arms, i, effect, delta) for i, effect in enumerate(found)]


def _kind(found: Difference, delta: float) -> EffectKind:
    if found.val.low is None:
        return "undecided"
    if found.val.excludes_zero and abs(found.val.mean) >= delta:
        return "helps" if found.val.mean < 0 else "hurts"
    if within(found.train_alone, delta) and within(found.val_alone, delta):
        return "negligible"
    return "acts" if found.train.excludes_zero else "undecided"


def _with_plateau(
    arms: Sequence[ArmEnd], place: int, effect: RegularizerEffect, delta: float
) -> RegularizerEffect:
    """Marks an arm that ten times its strength, or a tenth of it, changes no more."""
    if effect.kind not in ("helps", "hurts", "acts"):
        return effect
    near = [i for i, arm in enumerate(arms) if ten_times(arm, arms[place]) or ten_times(arms[place], arm)]
    same = [
        i
        for i, found in zip(near, differences([(arms[i], arms[place]) for i in near]), strict=True)
        if found is not None and within(found.train_alone, delta) and within(found.val_alone, delta)
    ]
    if not same:
        return effect
    # one that helps and changes no more still helps, which is what counts
    kind: EffectKind = "helps" if effect.kind == "helps" else "saturated"
    return RegularizerEffect(kind, effect.reference, effect.difference, same[0])
