"""A study judged as a whole: δ, the best arm, each arm beside the others, each regularizer."""

from collections.abc import Sequence
from dataclasses import dataclass

from ridgeline.diagnosis._arms import ArmEnd, Difference
from ridgeline.diagnosis._between import Relation, over_regularized, relation, trailing
from ridgeline.diagnosis._regularizers import RegularizerEffect, effects
from ridgeline.diagnosis._thresholds import DELTA_SHARE, FAR_ABOVE


@dataclass(frozen=True)
class StudyJudgement:
    """What the arms of a study say of each other.

    Attributes:
        delta: what counts as a difference in loss.
        large_gap: from which a gap between validation and training loss is a large one.
        best: the place of the arm with the lowest validation loss.
        relations: of each arm, beside the stronger and earlier-stopped ones.
        effects: of each arm's regularizer; None for an arm without a weaker one.
        weaker: of each arm, the place of the weaker one that shows it over-regularized and this − weaker.
        trailing: whether each arm's training loss stands above the best arm's, and validation too.
    """

    delta: float
    large_gap: float
    best: int
    relations: tuple[Relation, ...]
    effects: tuple[RegularizerEffect | None, ...]
    weaker: tuple[tuple[int, Difference] | None, ...]
    trailing: tuple[bool, ...]


def what_counts(null_loss: float, best_loss: float) -> float:
    """δ = 2 % of (null − best loss); 2 % of the null loss where nothing was learned.

    Example:
        >>> round(what_counts(2.3, 0.3), 6), what_counts(2.0, 2.5)
        (0.04, 0.04)
    """
    learned = null_loss - best_loss
    return DELTA_SHARE.value * (learned if learned > 0 else abs(null_loss))


def judge_study(
    arms: Sequence[ArmEnd], baseline: int, null_loss: float, best_loss: float | None = None, seed: int = 0
) -> StudyJudgement:
    """Judge the arms of a study against each other.

    Args:
        arms: those that finished; an arm without a finished seed is compared with none.
        baseline: the place of the arm that regularizers are compared with where it is on their axis.
        null_loss: the validation loss of the null predictor.
        best_loss: the lowest mean validation loss at any step; by default the lowest at the end.
        seed: of the resampling.
    """
    best = min(range(len(arms)), key=lambda i: (arms[i].loss, i))
    lowest = arms[best].loss if best_loss is None else best_loss
    delta = what_counts(null_loss, lowest)
    return StudyJudgement(
        delta=delta,
        large_gap=FAR_ABOVE.value / DELTA_SHARE.value * delta,
        best=best,
        relations=tuple(relation(arms, i, delta, seed) for i in range(len(arms))),
        effects=tuple(effects(arms, baseline, delta)),
        weaker=tuple(over_regularized(arms, i, delta) for i in range(len(arms))),
        trailing=trailing(arms, best, delta),
    )


# One arm's confidence rests on so many resamples; all arms together get no more than _IN_ALL, for they take about
# a millisecond each, and below _FEWEST a share says nothing.
_RESAMPLES, _FEWEST, _IN_ALL = 200, 50, 5000


def resamples_for(n_arms: int) -> int:
    """How many resamples an arm gets where so many are judged at once; 0 for too many arms.

    Example:
        >>> resamples_for(7), resamples_for(50), resamples_for(1000)
        (200, 100, 0)
    """
    share = min(_RESAMPLES, _IN_ALL // max(n_arms, 1))
    return share if share >= _FEWEST else 0
