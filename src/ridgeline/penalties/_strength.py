"""The one meaning of strength: checked here, broadcast over lanes here."""

import math
from typing import TypeAlias

import torch
from torch import Tensor

Strength: TypeAlias = float | Tensor


def check_strength(strength: object, owner: str, noun: str = "strength") -> Strength:
    """A strength that is a finite number ≥ 0, a 0-d tensor, or one number a lane, shape (lanes,).

    Raises:
        ValueError: for NaN, negative or infinite numbers, and for other shapes.
        TypeError: for anything that is not a number or a floating tensor.
    """
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
        bad = strength.detach()[~(torch.isfinite(strength.detach()) & (strength.detach() >= 0))]
        if bad.numel():
            raise ValueError(_refusal(owner, noun, float(bad.reshape(-1)[0])))
        return strength
    if isinstance(strength, bool) or not isinstance(strength, (int, float)):
        raise TypeError(
            f"{owner}: {noun} is {strength!r}, a {type(strength).__name__}; allowed: a number ≥ 0 or a tensor."
        )
    if not math.isfinite(strength) or strength < 0:
        raise ValueError(_refusal(owner, noun, strength))
    return float(strength)


def _refusal(owner: str, noun: str, got: float) -> str:
    return f"{owner}: {noun} is {got}; allowed: a finite number ≥ 0; use 0 to switch the penalty off."


def lanes_of(strength: Strength) -> bool:
    """Whether the strength carries one value a lane, so that axis 0 of a parameter is lanes."""
    return isinstance(strength, Tensor) and strength.ndim == 1


def over(strength: Strength, w: Tensor) -> Strength:
    """The strength shaped to multiply w: a per-lane strength gets one axis for each further one of w."""
    if not isinstance(strength, Tensor):
        return strength
    if strength.ndim == 1:
        if w.ndim == 0 or w.shape[0] != strength.shape[0]:
            raise ValueError(
                f"the strength has {strength.shape[0]} lanes, the parameter's shape is {tuple(w.shape)}; "
                f"axis 0 of the parameter must be the lanes."
            )
        return strength.to(w.device).view(-1, *([1] * (w.ndim - 1)))
    return strength.to(w.device)
