"""L2SP in place, piece by piece: the weights and what they return to, side by side."""

from typing import TypeGuard

import torch
from torch import Tensor

from ridgeline.penalties import L2SP, Penalty
from ridgeline.regularizer._pieces import with_scratch


def returning(penalty: Penalty, w: Tensor) -> TypeGuard[L2SP]:
    """Whether it is our L2SP with one number for strength and a reference beside the weights."""
    if type(penalty) is not L2SP or not isinstance(penalty.reference, Tensor):
        return False
    return isinstance(penalty.strength, float) and _beside(penalty.reference, w)


def _beside(reference: Tensor, w: Tensor) -> bool:
    return (reference.dtype, reference.device, reference.shape) == (w.dtype, w.device, w.shape)


def _reference(penalty: L2SP) -> Tensor:
    assert isinstance(penalty.reference, Tensor)
    return penalty.reference


def value(penalty: L2SP, w: Tensor) -> Tensor:
    """½ λ Σ(w − w₀)², shape (), at least float32."""
    total = torch.zeros((), dtype=torch.promote_types(w.dtype, torch.float32), device=w.device)
    for block, start, out in with_scratch(w, _reference(penalty)):
        line = torch.sub(block, start, out=out).reshape(-1).to(total.dtype)
        total += torch.dot(line, line)
    return total.mul_(0.5 * penalty.per_element(w))


def add_gradient(target: Tensor, penalty: L2SP, w: Tensor, factor: float) -> None:
    """target += factor · λ(w − w₀), in place; target may be w itself."""
    step = factor * float(penalty.per_element(w))
    for goal, block, start, out in with_scratch(target, w, _reference(penalty)):
        goal.add_(torch.sub(block, start, out=out), alpha=step)


def apply_prox(penalty: L2SP, w: Tensor, step: float) -> None:
    """w ← w − (w − w₀) · s/(1 + s), s = λ · step, in place."""
    scaled = step * float(penalty.per_element(w))
    for block, start, out in with_scratch(w, _reference(penalty)):
        block.sub_(torch.sub(block, start, out=out), alpha=scaled / (1.0 + scaled))
