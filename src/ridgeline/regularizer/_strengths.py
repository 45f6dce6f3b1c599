"""The strengths of a response: which may be asked for, and penalties at them."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ridgeline.penalties import MaxNorm, Penalty, Schedule, Sum
from ridgeline.regularizer._term import Term

MOST = 1e30  # of which ten thousand times is still a number in float32


def check_response(strengths: object, steps: int) -> list[float] | None:
    """The strengths as numbers, each once; refuse what has no meaning.

    Raises:
        ValueError: for strengths that are not numbers above 0, up to 1e30, or fewer steps than one.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"reg.response(): steps is {steps!r}; it must be a whole number ≥ 1.")
    if strengths is None:
        return None
    found: list[float] = []
    if isinstance(strengths, Iterable) and not isinstance(strengths, str):
        with contextlib.suppress(TypeError, ValueError):  # of what is no number
            found = list(dict.fromkeys(map(float, strengths)))
    if not found or not all(0 < number <= MOST for number in found):
        raise ValueError(
            f"reg.response(): strengths is {strengths!r}; give a list of finite numbers above 0, up to {MOST:g} (0 is "
            f"always run), or leave it out for the strengths as they are set."
        )
    return found


def at_strength(terms: Sequence[Term], number: float, absolute: bool) -> list[Term]:
    """Terms at another strength, or, where that is not absolute, at a multiple of their own."""
    return [replace(t, penalty=_with(t.penalty, number, absolute)) for t in terms]


def _with(penalty: Penalty, number: float, absolute: bool) -> Penalty:
    """The penalty with another strength, or with its own times a number; constraints stay."""
    if isinstance(penalty, Sum):
        if absolute and number and len([p for p in penalty.parts if not isinstance(p, MaxNorm)]) > 1:
            raise ValueError(
                f"reg.response() cannot give one strength to {penalty}: leave strengths out, and each part keeps "
                f"its own, times 1, 10."
            )
        return Sum([_with(part, number, absolute) for part in penalty.parts])
    if isinstance(penalty, MaxNorm):
        return penalty
    new: Any = number
    if not absolute:
        own: Any = getattr(penalty, "strength", None)
        new = (
            Schedule(_Times(own, number), f"{number:g} × {own}")
            if isinstance(own, Schedule)
            else own * number
        )
    changed: Penalty = penalty.with_strength(new)  # type: ignore[attr-defined]  # has a strength
    return changed


@dataclass(frozen=True)
class _Times:
    schedule: Schedule
    number: float

    def __call__(self, step: int) -> float:
        return self.number * self.schedule.at(step)
