"""Strength schedules: a strength as a function of the optimizer's steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """A strength that depends on the number of optimizer steps made so far.

    Give it as a penalty's strength: `L2(ridgeline.schedules.warmup(1e-3, steps=500))`. The regularizer
    reads it with the clock of the bound optimizer, or of `reg.advance()` where there is none.

    Args:
        function: step ≥ 0 -> strength ≥ 0.
        text: how the audit shows it.
    """

    function: Callable[[int], float]
    text: str

    def at(self, step: int) -> float:
        """The strength for the update after `step` updates.

        Raises:
            ValueError: when the function gives NaN, a negative or an infinite number.
        """
        strength = float(self.function(step))
        if not math.isfinite(strength) or strength < 0:
            raise ValueError(
                f"the strength schedule {self.text} gives {strength} at step {step}; it must give finite "
                f"numbers ≥ 0."
            )
        return strength

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class _Course:
    """From one strength to another over some updates; a value, so that schedules can be pickled."""

    shape: str
    first: float
    last: float
    steps: int

    def __call__(self, k: int) -> float:
        share = min(k / self.steps, 1.0)
        if self.shape == "cosine":
            share = 0.5 * (1.0 - math.cos(math.pi * share))
        return self.first + (self.last - self.first) * share


def linear(first: float, last: float, steps: int) -> Schedule:
    """From `first` to `last` in a straight line over `steps` updates, then constant.

    λ(k) = first + (last − first) · min(k/steps, 1).

    Example:
        >>> [linear(0.0, 1.0, 4).at(k) for k in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """
    _check(steps, first=first, last=last)
    return Schedule(_Course("linear", first, last, steps), f"linear({first:g} → {last:g}, {steps})")


def cosine(first: float, last: float, steps: int) -> Schedule:
    """From `first` to `last` along half a cosine over `steps` updates, then constant.

    λ(k) = last + (first − last) · ½(1 + cos(π · min(k/steps, 1))).

    Example:
        >>> [round(cosine(1.0, 0.0, 4).at(k), 3) for k in (0, 2, 4, 9)]
        [1.0, 0.5, 0.0, 0.0]
    """
    _check(steps, first=first, last=last)
    return Schedule(_Course("cosine", first, last, steps), f"cosine({first:g} → {last:g}, {steps})")


def warmup(strength: float, steps: int) -> Schedule:
    """From 0 in a straight line to `strength` at update `steps`, then constant."""
    _check(steps, strength=strength)
    return Schedule(_Course("linear", 0.0, strength, steps), f"warmup({strength:g}, {steps})")


def _check(steps: int, **strengths: float) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"steps is {steps!r}; it must be a whole number ≥ 1.")
    for name, value in strengths.items():
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} is {value}; it must be a finite number ≥ 0.")
