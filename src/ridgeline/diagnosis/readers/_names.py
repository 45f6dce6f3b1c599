"""What a column is by its name: a loss, an accuracy, a penalty, a rate, a step, or nothing of these."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from ridgeline.diagnosis.readers import _words as w

Kind: TypeAlias = Literal["loss", "accuracy", "error", "penalty", "lr", "step"]


@dataclass(frozen=True)
class Name:
    """What a name says.

    Attributes:
        kind: of the numbers.
        split: "train", "val", "dev", "eval", "test", or "" where the name says nothing.
        stem: the kind of loss ("loss", "entropy", "mse", …) or of step ("step", "iter", "batch", "epoch").
        smoothed: 2 for a running or cumulative quantity, 1 for an average, 0 for a raw one.
        foreign: how many of its words say nothing here.
        every: 0 for a plain name, 1 for one an epoch, 2 for one a step, 3 for one a batch.
    """

    kind: Kind
    split: str = ""
    stem: str = ""
    smoothed: int = 0
    foreign: int = 0
    every: int = 0


@lru_cache(maxsize=4096)
def recognise(name: str) -> Name | None:
    """What a name says; None where it is no curve and no step.

    Example:
        >>> recognise("val_loss"), recognise("grad_norm")
        (Name(kind='loss', split='val', stem='loss', smoothed=0, foreign=0, every=0), None)
    """
    return of_words(w.words(name[:200]))


def of_words(found: Sequence[str]) -> Name | None:
    """The same, of words."""
    if not found:
        return None
    left = [word for word in found if word not in w.STEP_FILLERS]
    if len(left) == 1 and left[0] in w.STEPS:
        return Name("step", stem=w.STEPS[left[0]])
    if not w.OTHER.isdisjoint(found):
        return None
    kind, stem = _kind(found)
    if kind is None:
        return None
    splits = [w.SPLITS[word] for word in found if word in w.SPLITS]
    every = max((_EVERY.get(word, 0) for word in found), default=0)
    return Name(
        kind,
        # "train/val_loss": the later word is the nearer one.
        split=splits[-1] if splits else "",
        stem=stem,
        smoothed=max((w.SMOOTHED.get(word, 0) for word in found), default=0),
        foreign=sum(_is_foreign(word) for word in found),
        every=every,
    )


_EVERY = {
    "epoch": 1,
    "epochs": 1,
    "step": 2,
    "steps": 2,
    "iter": 2,
    "iteration": 2,
    "batch": 3,
    "minibatch": 3,
}
_METRICS = {*w.LOSSES, *w.ACCURACIES, *w.ERRORS, *w.PENALTIES, "lr"}


def _is_foreign(word: str) -> bool:
    return not any(word in known for known in (_METRICS, w.SPLITS, w.FILLERS, w.SMOOTHED, _EVERY))


def _kind(found: Sequence[str]) -> tuple[Kind | None, str]:
    """The metric, and the kind of loss."""
    if "lr" in found:
        return "lr", ""
    if any(word in w.PENALTIES for word in found):
        return "penalty", ""
    if any(word in w.ERRORS for word in found):
        return "error", ""
    if any(word in w.ACCURACIES for word in found):
        return "accuracy", ""
    stems = [w.LOSSES[word] for word in found if word in w.LOSSES]
    if not stems:
        return None, ""
    # "mse_loss" is a squared error, "loss" alone is whatever was trained on.
    return "loss", next((stem for stem in stems if stem != "loss"), "loss")
