"""The rule that labels a history: does another arm do better on the test set although it fits training worse?

An *end* is an arm stopped at a step. B is *on A's axis* where all else is equal and B either has more of one
regularizer, stopped at the same step (another run), or is the same run stopped earlier. B is a *rival* of A
where it is on A's axis and A's training data loss is the lower one. B's *advantage* is the mean over the test
examples of (A's loss − B's loss), with the interval mean ± 1.96 · sd/√n of these paired differences.

    δ             2 % of (null loss − lowest mean test loss of any end of the task)
    overfit       a rival has an advantage ≥ δ, and its interval lies above 0
    not overfit   no rival has an advantage above δ/2
    ambiguous     all else: reported, and not scored

Where no arm has more of a regularizer, nothing was tried against A: such arms are rivals of others, and have no
label of their own that could be trusted.

The null loss is that of a predictor that knows only the training targets (their shares, or their mean), on the
test set. One step's loss may stand high by chance: where A's run has an end within a fifth of the steps before
A's own, a rival shows A overfit only where it has such an advantage over that end too. By accuracy the same rule
holds with the error of each example, 0 or 1, in the place of its loss; training is still compared by its loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating]
Label: TypeAlias = Literal["overfit", "not overfit", "ambiguous"]
DELTA_SHARE = 0.02


@dataclass(frozen=True)
class End:
    """An arm stopped at a step.

    Attributes:
        amounts: of each regularizer; all ends have the same keys.
        rest: all else that varies between arms.
        train: training data loss there.
        losses: of each test example there, shape (n_test,).
    """

    amounts: Mapping[str, float]
    rest: str
    stop: int
    train: float
    losses: Floats

    @property
    def name(self) -> str:
        shown = " ".join(f"{key}={value:g}" for key, value in self.amounts.items() if value)
        return f"{shown or 'none'} at {self.stop}"


@dataclass(frozen=True)
class Truth:
    """A label, and the advantage that decided it.

    Attributes:
        advantage, low: of the best rival; None without a rival.
        against: the rival.
    """

    label: Label
    advantage: float | None = None
    low: float | None = None
    against: str = ""


def delta_of(null: float, means: Sequence[float] | Floats) -> float:
    """2 % of what there was to learn: null − lowest mean test loss."""
    return DELTA_SHARE * (null - float(np.min(means)))


def on_axis(b: End, a: End) -> bool:
    """Whether B is A with more of one regularizer, or A's own run stopped earlier."""
    if a.rest != b.rest:
        return False
    changes = [b.amounts[key] - a.amounts[key] for key in a.amounts]
    changed = [change for change in changes if change]
    if not changed:
        return b.stop < a.stop
    return b.stop == a.stop and len(changed) == 1 and changed[0] > 0


def has_stronger(a: End, others: Sequence[End]) -> bool:
    """Whether an arm with more of a regularizer was tried beside A, stopped at the same step."""
    return any(on_axis(b, a) and b.stop == a.stop for b in others)


def advantage(a: Floats, b: Floats) -> tuple[float, float]:
    """The mean of a − b over examples, and the lower end of its 95 % interval."""
    differences = np.asarray(a, dtype=np.float64) - b
    mean = float(differences.mean())
    return mean, mean - 1.96 * float(differences.std(ddof=1)) / float(np.sqrt(len(differences)))


def truth_of(a: End, others: Sequence[End], delta: float) -> Truth:
    """The label of A among the ends of its task."""
    runs = [end for end in others if end.amounts == a.amounts and end.rest == a.rest]
    before = max((e for e in runs if 0.8 * a.stop <= e.stop < a.stop), key=lambda e: e.stop, default=None)
    found: list[tuple[float, float, str]] = []
    shown: list[tuple[float, float, str]] = []
    for b in others:
        if not on_axis(b, a) or not a.train < b.train or b is before:
            continue
        mean, low = advantage(a.losses, b.losses)
        found.append((mean, low, b.name))
        if mean >= delta and low > 0 and (before is None or _holds(before, b, delta)):
            shown.append(found[-1])
    if not found:
        return Truth("not overfit")
    mean, low, against = max(shown or found)
    label: Label = "overfit" if shown else "not overfit" if mean <= 0.5 * delta else "ambiguous"
    return Truth(label, mean, low, against)


def _holds(before: End, b: End, delta: float) -> bool:
    mean, low = advantage(before.losses, b.losses)
    return mean >= delta and low > 0
