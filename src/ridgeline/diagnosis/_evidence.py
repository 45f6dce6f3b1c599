"""The evidence in words and figures, the decisive sentence first."""

from collections.abc import Callable

import numpy as np

from ridgeline.diagnosis._features import Features, Side
from ridgeline.diagnosis._kinds import Kind, Metric
from ridgeline.diagnosis._rules import (
    Beside,
    far_above,
    parted,
    risen_while_training_fell,
    training_got_worse,
)
from ridgeline.diagnosis._thresholds import ONE_SIDED, SHORTEST, STILL_FALLING


class Words:
    """The names and numbers of one metric: what is lowered inside is shown as the log has it."""

    def __init__(self, metric: Metric, unit: str) -> None:
        self.accuracy = metric == "accuracy"
        self.metric, self.unit = metric, unit

    def level(self, value: float) -> str:
        """A level as the log would print it."""
        return f"{1.0 - value:.3f}" if self.accuracy else f"{value:.4g}"

    def amount(self, value: float) -> str:
        """A difference, without its sign."""
        return f"{abs(value):.3f}" if self.accuracy else f"{abs(value):.3g}"

    def moved(self, before: float, after: float) -> str:
        """Went from … to …"""
        verb = "rose" if (after > before) != self.accuracy else "fell"
        return f"{verb} from {self.level(before)} to {self.level(after)}"

    def step(self, step: float) -> str:
        """A place in the log, in its own unit."""
        return f"{self.unit} {step:,.0f}" if float(step).is_integer() else f"{self.unit} {step:,.1f}"

    @property
    def best(self) -> str:
        """What the best level is called."""
        return "below its maximum" if self.accuracy else "above its minimum"

    @property
    def worse(self) -> str:
        """What getting worse is called."""
        return "fell" if self.accuracy else "rose"


def evidence_of(kind: Kind, f: Features, beside: Beside, w: Words) -> list[str]:
    """Sentences for a kind."""
    makers: dict[Kind, Callable[[Features, Beside, Words], list[str]]] = {
        "diverged": _diverged,
        "undertrained": _undertrained,
        "overfitting": _overfitting,
        "underfitting": _underfitting,
        "over_regularized": _over_regularized,
        "well_fitted": _well_fitted,
        "undecided": _undecided,
    }
    return makers[kind](f, beside, w)


def _diverged(f: Features, beside: Beside, w: Words) -> list[str]:
    if beside.broke is not None:
        step, runs = beside.broke
        who = "the curve is" if runs == 1 else f"{runs} runs are"
        return [f"{who} not finite from {w.step(step)} on"]
    side, name = (f.val, "validation") if f.train is None else (f.train, "training")
    return [f"{name} {w.metric} ends worse than it began: it {w.moved(side.first, side.last)}"]


def _undertrained(f: Features, beside: Beside, w: Words) -> list[str]:
    share = f"{STILL_FALLING.value:.0%}"
    return [
        f"validation {w.metric} still improved by {w.amount(f.val.recent_fall)} ± {_pm(f.val, w)} over the last "
        f"{share} of the steps and ends at its best, {w.level(f.val.last)}"
    ]


def _overfitting(f: Features, beside: Beside, w: Words) -> list[str]:
    assert f.train is not None
    assert f.gap is not None
    found = []
    if risen_while_training_fell(f):
        since = f.train.last - (f.train_change or 0.0)
        found.append(
            f"validation {w.metric} {w.worse} {_size(f.val, w)} {w.best} at {w.step(f.val.lowest_step)} while training "
            f"{w.metric} {w.moved(since, f.train.last)}"
        )
    if far_above(f):
        share = f", {f.gap / f.to_learn:.0%} of what there was to learn" if f.to_learn > 0 else ""
        found.append(
            f"at the end validation {w.metric} is {w.level(f.val.last)} against {w.level(f.train.last)} in training, a "
            f"gap of {w.amount(f.gap)}{share}"
        )
    if not found and parted(f):
        fell = (f.train_half or 0.0) / max(abs(f.train.last + (f.train_half or 0.0)), 1e-300)
        found.append(
            f"over the second half training {w.metric} improved by {fell:.0%} of itself, to "
            f"{w.level(f.train.last)}, and validation {w.metric} gained nothing: it "
            f"{w.moved(f.val.last + f.val_half, f.val.last)}"
        )
    return found


def _underfitting(f: Features, beside: Beside, w: Words) -> list[str]:
    assert f.train is not None
    null = "the null predictor's" if f.null_given else "the start's"
    found = []
    if beside.best_train is not None and f.train.last - beside.best_train >= f.delta:
        found.append(
            f"training {w.metric} ends at {w.level(f.train.last)}; another arm reaches {w.level(beside.best_train)}"
        )
    if f.skill is not None:
        wanted = "" if beside.target is None else f"; {beside.target:.0%} was wanted"
        found.append(
            f"training {w.metric} ends at {w.level(f.train.last)}, {f.skill:.0%} better than {null} "
            f"{w.level(f.null)}{wanted}"
        )
    return found


def _over_regularized(f: Features, beside: Beside, w: Words) -> list[str]:
    assert f.train is not None
    if beside.weaker is not None:
        train, val = beside.weaker
        return [
            f"with a weaker penalty both are better: training {w.metric} {w.level(train)} instead of "
            f"{w.level(f.train.last)}, validation {w.metric} {w.level(val)} instead of {w.level(f.val.last)}"
        ]
    return [
        f"the penalty is {beside.penalty:.3g} times the data loss at the end",
        *_underfitting(f, beside, w),
    ]


def _well_fitted(f: Features, beside: Beside, w: Words) -> list[str]:
    return [
        f"validation {w.metric} ends at {w.level(f.val.last)}, within {w.amount(f.delta)} of its best "
        f"{w.level(f.val.lowest)}, and no longer moves"
    ]


def _undecided(f: Features, beside: Beside, w: Words) -> list[str]:
    if len(f.steps) < SHORTEST.value:
        return [
            f"{len(f.steps)} points are too few to tell a trend from noise; {SHORTEST.value:.0f} are needed"
        ]
    found = []
    if f.val.rose(f.delta):
        found.append(
            f"validation {w.metric} {w.worse} {_size(f.val, w)} {w.best} at {w.step(f.val.lowest_step)}"
        )
    if f.train is None:
        return [
            *found,
            "there is no training curve, without which overfitting and a bad step cannot be told apart",
        ]
    if training_got_worse(f):
        return [
            *found,
            f"training {w.metric} got worse in the same time: it {w.moved(f.train.lowest, f.train.last)}",
        ]
    if f.to_learn <= f.delta or f.val.first - f.val.last <= 2.0 * f.val.noise:
        return [f"validation {w.metric} did not move beyond its noise: it {w.moved(f.val.first, f.val.last)}"]
    sure = ONE_SIDED.value * float(np.sqrt(2.0)) * f.val.noise
    return [
        f"validation {w.metric} ends {w.amount(f.val.rise)} {w.best} at {w.step(f.val.lowest_step)}, which noise of "
        f"± {w.amount(sure)} can neither tell from none nor from δ = {w.amount(f.delta)}"
    ]


def _size(side: Side, w: Words) -> str:
    found = side.rise_interval
    if found is not None and found.low is not None and found.high is not None:
        low, high = sorted((found.low, found.high))
        return f"{w.amount(side.rise)} [{low:.3g}, {high:.3g}]"
    return f"{w.amount(side.rise)} ± {_pm(side, w)}"


def _pm(side: Side, w: Words) -> str:
    """One standard error of the difference of two levels."""
    return w.amount(float(np.sqrt(2.0)) * side.noise)
