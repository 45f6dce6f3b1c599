"""Which kind a pair of curves is: each kind a rule, tried in the order of `KINDS`."""

from dataclasses import dataclass

import numpy as np

from ridgeline.diagnosis._features import Features
from ridgeline.diagnosis._kinds import Kind
from ridgeline.diagnosis._thresholds import (
    ABOVE_MEMORISED,
    CHANCE,
    FAR_ABOVE,
    HALF,
    MEMORISED,
    ONE_SIDED,
    PARTED,
    SHORTEST,
    TRAINS_ON,
    WEIGHTY_PENALTY,
)


@dataclass(frozen=True)
class Broke:
    """Where numbers ended: the first step from which on none was finite, on which side, in how many of the runs."""

    step: float
    side: str
    count: int
    runs: int


@dataclass(frozen=True)
class Beside:
    """What else is known of the arm.

    Attributes:
        target: the training skill, 1 − loss/null, that is wanted.
        best_train: the lowest training level of the study's arms.
        weaker: (training, held-out) levels of an arm with a weaker penalty.
        penalty: the penalty's last value over the training data loss.
        pure: whether the training loss is known to be the data loss alone, as validation's is.
        broke: from where on no number was finite.
    """

    target: float | None = None
    best_train: float | None = None
    weaker: tuple[float, float] | None = None
    penalty: float | None = None
    pure: bool = False
    broke: Broke | None = None


def kind_of(f: Features, beside: Beside) -> Kind:
    """The first kind whose rule holds."""
    if diverged(f, beside):
        return "diverged"
    if len(f.steps) < SHORTEST.value:
        return "undecided"
    if undertrained(f):
        return "undertrained"
    if f.train is None:
        return "undecided"
    if risen_while_training_fell(f) or far_above(f) or parted(f):
        return "overfitting"
    if over_regularized(f, beside):
        return "over_regularized"
    if underfits(f, beside):
        return "underfitting"
    return "well_fitted" if well_fitted(f) else "undecided"


def diverged(f: Features, beside: Beside) -> bool:
    """Not finite at the end, or the training curve ends above where it began.

    A held-out curve that does may be overfitting, so that without a training curve nothing is said.
    """
    if beside.broke is not None:
        return True
    if f.train is None:
        return False
    beyond = 2.0 * ONE_SIDED.value * float(np.sqrt(2.0)) * f.train.noise
    return f.train.last - f.train.first > max(f.delta, beyond) and f.train.rose(f.delta)


def undertrained(f: Features) -> bool:
    """The held-out curve ends at its lowest and fell by δ, beyond noise, over the last part, and training fell too."""
    beyond = ONE_SIDED.value * float(np.sqrt(2.0)) * f.val.noise
    trains = f.train is None or f.train.recent_fall >= TRAINS_ON.value * f.val.recent_fall
    return trains and f.val.recent_fall >= max(f.delta, beyond) and f.val.rise < f.delta


def risen_while_training_fell(f: Features) -> bool:
    """The held-out curve is past its minimum, and training went on: its curve did not get worse meanwhile."""
    return f.val.rose(f.delta) and not training_got_worse(f)


def training_got_worse(f: Features) -> bool:
    """The training curve itself is past its minimum: not a matter of generalization."""
    return f.train is not None and f.train.rose(f.delta) and (f.train_change or 0.0) >= 0.5 * f.val.rise


def learned(f: Features) -> bool:
    """Whether anything was learned on held-out data, beyond what noise seems to learn; else nothing gives a scale."""
    seen = f.val.seen.level
    return f.null_given or float(seen[0] - seen.min()) > 1.25 * f.val.rise_by_chance


def far_above(f: Features) -> bool:
    """The held-out level is far above training's, beyond noise; training is below half of it, or memorised.

    A training loss that holds more than the data loss only makes the gap look smaller.
    """
    if f.train is None or f.gap is None or not learned(f) or f.val.last <= 0:
        return False
    below = f.train.last / f.val.last
    far = f.gap >= FAR_ABOVE.value * f.to_learn and below < HALF.value
    far = far or (f.gap >= ABOVE_MEMORISED.value * f.to_learn and below < MEMORISED.value)
    return far and f.gap >= max(f.delta, ONE_SIDED.value * f.gap_noise)


def parted(f: Features) -> bool:
    """Over the second half training went on to fall, by a share of itself and by δ, and held-out data did not gain.

    Where training still stands above, what fell is a penalty or another loss.
    """
    if f.train is None or f.train_half is None or not learned(f):
        return False
    if f.gap is None or f.gap <= 0:
        return False
    before = abs(f.train.last + f.train_half)
    beyond = max(PARTED.value * before, f.delta, 2.0 * ONE_SIDED.value * f.train.noise)
    return f.train_half >= beyond and f.val_half < 0.5 * f.delta


def underfits(f: Features, beside: Beside) -> bool:
    """Training skill below the target, below the study's best arm by δ, or at chance."""
    assert f.train is not None
    if beside.target is not None and f.skill is not None and f.skill < beside.target:
        return True
    if beside.best_train is not None and f.train.last - beside.best_train >= f.delta:
        return True
    return f.null_given and f.train.last > f.null * (1.0 - CHANCE.value) - f.train.noise


def over_regularized(f: Features, beside: Beside) -> bool:
    """A weaker penalty is better on both sets by δ; or the penalty outweighs the data loss, which fits badly."""
    assert f.train is not None
    if beside.weaker is not None:
        train, val = beside.weaker
        return f.train.last - train >= f.delta and f.val.last - val >= f.delta
    weighty = beside.penalty is not None and beside.penalty > WEIGHTY_PENALTY.value
    return weighty and underfits(f, beside)


def well_fitted(f: Features) -> bool:
    """A rise of δ is excluded, and something was learned."""
    learned = f.to_learn > f.delta and f.val.first - f.val.last > 2.0 * f.val.noise
    return learned and f.val.rise_excluded(f.delta, ONE_SIDED.value)
