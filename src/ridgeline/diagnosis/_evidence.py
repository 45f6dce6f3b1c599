"""The evidence in words and figures, the decisive sentence first."""

from collections.abc import Callable

import numpy as np

from ridgeline.diagnosis._features import Features, Side
from ridgeline.diagnosis._kinds import Kind, Metric
from ridgeline.diagnosis._rules import (
    Beside,
    Broke,
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

    def level(self, value: float, more: int = 0) -> str:
        """A level as the log would print it, with so many digits more."""
        return f"{1.0 - value:.{3 + more}f}" if self.accuracy else f"{value:.{4 + more}g}"

    def amount(self, value: float) -> str:
        """A difference, without its sign."""
        return f"{abs(value):.3f}" if self.accuracy else f"{abs(value):.3g}"

    def moved(self, before: float, after: float) -> str:
        """Went from … to …, in as many digits as show it."""
        verb = "rose" if (after > before) != self.accuracy else "fell"
        for more in range(9):
            texts = [self.level(value, more) for value in (before, after)]
            if texts[0] != texts[1]:
                return f"{verb} from {texts[0]} to {texts[1]}"
        return f"stayed at {self.level(after)}"

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
        return [broke(beside.broke, w)]
    assert f.train is not None
    return [f"training {w.metric} ends worse than it began: it {w.moved(f.train.first, f.train.last)}"]


def broke(found: Broke, w: Words) -> str:
    """Where a curve, or the first of several, is no longer finite."""
    said = f"{found.side} {w.metric} {{}} {w.step(found.step)} on"
    if found.runs == 1:
        return said.format("is not finite from")
    verb = "is" if found.count == 1 else "are"
    first = "" if found.count == 1 else "of the first, "
    return f"{found.count} of {found.runs} runs {verb} not finite to the end: {first}{said.format('from')}"


def place(f: Features, w: Words) -> str:
    """The step of the log at the lowest held-out level: a window's middle may lie between two."""
    at = int(np.searchsorted(f.steps, f.val.lowest_step, side="right")) - 1
    return w.step(float(f.steps[max(at, 0)]))


def _undertrained(f: Features, beside: Beside, w: Words) -> list[str]:
    share = f"{STILL_FALLING.value:.0%}"
    best = f", {w.level(f.val.last)}"
    if w.level(f.val.lowest) != w.level(f.val.last):
        best = f" but for {w.amount(f.val.last - f.val.lowest)}, at {w.level(f.val.last)}"
    return [
        f"validation {w.metric} still improved by {w.amount(f.val.recent_fall)} ± {_pm(f.val, w)} over the last "
        f"{share} of the steps and ends at its best{best}"
    ]


def _overfitting(f: Features, beside: Beside, w: Words) -> list[str]:
    assert f.train is not None
    assert f.gap is not None
    found = []
    if risen_while_training_fell(f):
        since = f.train.last - (f.train_change or 0.0)
        found.append(
            f"validation {w.metric} {w.worse} {_size(f.val, w)} {w.best} at {place(f, w)} while training "
            f"{w.metric} {w.moved(since, f.train.last)}"
        )
    if far_above(f):
        share = ""
        if f.to_learn > 0:
            part = f"{f.gap / f.to_learn:.0%} of what" if f.gap <= f.to_learn else "more than all that"
            share = f", {part} was learned of it"
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
    found = []
    if beside.best_train is not None and f.train.last - beside.best_train >= f.delta:
        found.append(
            f"training {w.metric} ends at {w.level(f.train.last)}; another arm reaches {w.level(beside.best_train)}"
        )
    if f.skill is not None:
        wanted = "" if beside.target is None else f"; {beside.target:.0%} was wanted"
        found.append(f"training {w.metric} ends at {w.level(f.train.last)}, {_beside_null(f, w)}{wanted}")
    return found


def _beside_null(f: Features, w: Words) -> str:
    """How the skill compares, of accuracy in errors: its null is a share of them."""
    skill = f.skill or 0.0
    whose = "the null predictor's" if f.null_given else "the start's"
    null = f"{whose} {w.level(f.null)}"
    if w.accuracy:
        return f"{abs(skill):.0%} {'fewer' if skill >= 0 else 'more'} errors than at {null}"
    return f"{abs(skill):.0%} {'better' if skill >= 0 else 'worse'} than {null}"


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
    now = "and no longer moves"
    if f.val.recent_fall >= f.delta:
        share = f"{STILL_FALLING.value:.0%}"
        now = f"improved by {w.amount(f.val.recent_fall)} over the last {share} of the steps while training did not"
    return [
        f"validation {w.metric} ends at {w.level(f.val.last)}, within {w.amount(f.delta)} of its best "
        f"{w.level(f.val.lowest)}, {now}"
    ]


def _undecided(f: Features, beside: Beside, w: Words) -> list[str]:
    if len(f.steps) < SHORTEST.value:
        n = "1 point is" if len(f.steps) == 1 else f"{len(f.steps)} points are"
        return [f"{n} too few to tell a trend from noise; {SHORTEST.value:.0f} are needed"]
    found = []
    if f.val.rose(f.delta):
        found.append(f"validation {w.metric} {w.worse} {_size(f.val, w)} {w.best} at {place(f, w)}")
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
    if f.to_learn <= f.delta:
        return [_little(f, w)]
    if f.val.first - f.val.last <= 2.0 * f.val.noise:
        noise = w.amount(2.0 * f.val.noise)
        return [
            f"from its start to its end validation {w.metric} gained no more than noise of ± {noise} may: it "
            f"{w.moved(f.val.first, f.val.last)}"
        ]
    sure = ONE_SIDED.value * float(np.sqrt(2.0)) * f.val.noise
    return [
        f"validation {w.metric} ends {w.amount(f.val.rise)} {w.best} at {place(f, w)}, which noise of "
        f"± {w.amount(sure)} can neither tell from none nor from δ = {w.amount(f.delta)}"
    ]


def _little(f: Features, w: Words) -> str:
    """Less than δ was learned."""
    null = f"the null predictor's {w.level(f.null)}" if f.null_given else f"where it began, {w.level(f.null)}"
    if f.to_learn <= 0:
        return f"validation {w.metric} is nowhere better than {null}"
    gain, delta = w.amount(f.to_learn), w.amount(f.delta)
    return f"validation {w.metric} is at its best {gain} better than {null}, less than δ = {delta}"


def _size(side: Side, w: Words) -> str:
    found = side.rise_interval
    if found is not None and found.low is not None and found.high is not None:
        low, high = sorted((found.low, found.high))
        return f"{w.amount(side.rise)} [{low:.3g}, {high:.3g}]"
    return f"{w.amount(side.rise)} ± {_pm(side, w)}"


def _pm(side: Side, w: Words) -> str:
    """One standard error of the difference of two levels."""
    return w.amount(float(np.sqrt(2.0)) * side.noise)
