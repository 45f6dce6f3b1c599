"""The one meaning of strength: checked here, broadcast over lanes here."""

import math
from numbers import Real
from typing import TypeAlias

import torch
from torch import Tensor

from ridgeline.penalties._schedule import Schedule

Strength: TypeAlias = float | Tensor | Schedule


def check_strength(strength: object, owner: str, noun: str = "strength") -> Strength:
    """A strength that is a finite number ≥ 0, a 0-d tensor, one number a lane (lanes,), or a schedule.

    Raises:
        ValueError: for NaN, negative or infinite numbers, and for other shapes.
        TypeError: for anything that is not a number, a floating tensor or a schedule.
    """
    if isinstance(strength, Schedule):
        return strength
    if isinstance(strength, Tensor):
        if not strength.is_floating_point():
            raise TypeError(
                f"{owner}: the {noun} tensor has dtype {strength.dtype}; allowed: a floating dtype; "
                f"convert it with .float()."
            )
        if strength.ndim > 1:
            raise ValueError(
                f"{owner}: the {noun} has shape {tuple(strength.shape)}; allowed: a number, a 0-d tensor, "
                f"or one value a lane, shape (lanes,)."
            )
        values = strength.detach()
        bad = values[~(torch.isfinite(values) & (values >= 0))]
        if bad.numel():
            raise ValueError(_refusal(owner, noun, float(bad.reshape(-1)[0])))
        return strength
    if isinstance(strength, bool) or not isinstance(strength, Real):  # numpy's numbers are Real too
        raise TypeError(
            f"{owner}: {noun} is {strength!r}, a {type(strength).__name__}; allowed: a number ≥ 0, a tensor, or "
            f"a schedule of ridgeline.schedules."
        )
    number = float(strength)
    if not math.isfinite(number) or number < 0:
        raise ValueError(_refusal(owner, noun, number))
    return number


def _refusal(owner: str, noun: str, got: float) -> str:
    return f"{owner}: {noun} is {got}; allowed: a finite number ≥ 0; use 0 to switch the penalty off."


def lanes_of(strength: Strength) -> bool:
    """Whether the strength carries one value a lane, so that axis 0 of a parameter is lanes."""
    return isinstance(strength, Tensor) and strength.ndim == 1


def scalar(strength: Strength, w: Tensor) -> float | Tensor:
    """The strength as a factor on a penalty's value, shape () or (lanes,).

    Raises:
        ValueError: for a schedule, which has no value without a step; for lanes that w does not have.
    """
    if isinstance(strength, Schedule):
        raise ValueError(
            f"the strength is a schedule, {strength}; use it through regularize(), or "
            f".with_strength(schedule.at(step))."
        )
    if not isinstance(strength, Tensor):
        return strength
    if strength.ndim == 1 and (w.ndim == 0 or w.shape[0] != strength.shape[0]):
        raise ValueError(
            f"the strength has {strength.shape[0]} lanes, the parameter's shape is {tuple(w.shape)}; "
            f"axis 0 of the parameter must be the lanes."
        )
    return strength.to(w.device)


def over(strength: Strength, w: Tensor) -> float | Tensor:
    """The strength shaped to multiply w: a per-lane strength gets one axis for each further one of w."""
    found = scalar(strength, w)
    if isinstance(found, Tensor) and found.ndim == 1:
        return found.view(-1, *([1] * (w.ndim - 1)))
    return found


def wide(w: Tensor) -> Tensor:
    """At least float32: sums of half-precision squares overflow."""
    return w.float() if w.dtype in (torch.float16, torch.bfloat16) else w
