"""Penalties in place: value, gradient and prox of one tensor in passes of at most 1 MB of temporaries.

The formulas are those of the penalty objects, which are the oracle; what differs is memory traffic.
Allocating a tensor of signs of a 3 M parameter model costs several times the arithmetic.
"""

from typing import TypeAlias

import torch
from torch import Tensor

from ridgeline.penalties import (
    L1,
    L2,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    Norm,
    Penalty,
    Sum,
    lanes_of,
    parts_of,
)
from ridgeline.regularizer import _toward as toward
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._pieces import blocks, with_scratch
from ridgeline.regularizer._scratch import CHUNK

Factor: TypeAlias = float | Tensor


def fold(factor: Factor) -> Factor:
    """A 0-d tensor on the CPU as a number: reading it costs nothing there, and would wait on a GPU."""
    return float(factor) if isinstance(factor, Tensor) and factor.device.type == "cpu" else factor


def accumulate(target: Tensor, source: Tensor, factor: Factor) -> None:
    """target += factor · source."""
    if isinstance(factor, Tensor):
        target.addcmul_(source, factor.to(source.dtype))
    else:
        target.add_(source, alpha=factor)


def plain(penalty: Penalty) -> bool:
    """Whether it is one of ours with one number for strength: elementwise passes may ignore the tensor's shape.

    A person's own subclass may have formulas of its own.
    """
    if type(penalty) not in (L1, L2, ElasticNet, GroupLasso):
        return False
    strength = getattr(penalty, "strength", None)
    return isinstance(strength, float) or (isinstance(strength, Tensor) and strength.ndim == 0)


def simpler(penalty: Penalty) -> Penalty:
    """‖w‖₁ as L1, whose passes need no temporary."""
    return L1(penalty.strength) if type(penalty) is Norm and penalty.p == 1 else penalty


def elementwise(penalty: Penalty) -> bool:
    """Whether a tensor may be cut into any pieces for it: sums of single weights, with one number for strength."""
    return all(
        isinstance(p, (L1, L2, ElasticNet)) and plain(p) and p.reduction == "sum" for p in parts_of(penalty)
    )


def coefficient(penalty: L1 | L2 | ElasticNet, w: Tensor) -> Factor:
    """λ, or λ/n for reduction="mean"."""
    return fold(penalty.per_element(w))


def value(penalty: Penalty, w: Tensor, compiled: Compiled | None = None) -> Tensor:
    """R(w), shape () or (lanes,), at least float32; called without grad mode.

    Args:
        compiled: in one compiled pass where there is one.
    """
    if isinstance(penalty, (L1, L2, ElasticNet)) and plain(penalty):
        c = penalty.per_element(w)
        if isinstance(penalty, L2):
            return _squares(w).mul_(0.5 * c)
        ratio = l1_share(penalty)
        found = None if compiled is None else compiled.mixed(w, ratio)
        return _mixed(w, ratio, c) if found is None else c * found
    if type(penalty) is MaxNorm and not lanes_of(penalty.limit):
        return torch.zeros((), dtype=torch.promote_types(w.dtype, torch.float32), device=w.device)
    if isinstance(penalty, Sum):
        return torch.stack([value(part, w, compiled) for part in penalty.parts]).sum(0)
    if toward.returning(penalty, w):
        return toward.value(penalty, w)
    shorter = simpler(penalty)
    return penalty.value(w) if shorter is penalty else value(shorter, w, compiled)


def _squares(w: Tensor) -> Tensor:
    if w.numel() <= CHUNK and w.dtype in (torch.float32, torch.float64):
        line = w.reshape(-1)
        return torch.dot(line, line)
    total = torch.zeros((), dtype=torch.promote_types(w.dtype, torch.float32), device=w.device)
    for (block,) in blocks(w, share=0.125 if w.dtype == total.dtype else 1):  # larger, with no temporary
        line = block.reshape(-1).to(total.dtype)
        total += torch.dot(line, line)
    return total


def l1_share(penalty: L1 | ElasticNet) -> float:
    """The share of L1."""
    return penalty.l1_ratio if isinstance(penalty, ElasticNet) else 1.0


def _one_line(ratio: float, w: Tensor) -> bool:
    """Whether both parts of an elastic net, over ρ, fit one temporary: what is huge or coarse is not added up."""
    return 1e-6 < ratio < 1.0 and w.element_size() >= 4


def _mixed(w: Tensor, ratio: float, c: Factor) -> Tensor:
    """c Σ ρ|w| + ½(1 − ρ)w², both while a piece is in the cache."""
    dtype = torch.promote_types(w.dtype, torch.float32)
    together = _one_line(ratio, w)
    sums: list[Tensor] = []
    for block, out in with_scratch(w):
        torch.abs(block, out=out)
        if together:
            out.addcmul_(block, block, value=0.5 * (1.0 - ratio) / ratio)
        found = out.sum(dtype=dtype)
        if ratio < 1.0 and not together:
            line = block.reshape(-1).to(dtype)
            found.mul_(ratio).add_(torch.dot(line, line), alpha=0.5 * (1 - ratio))
        sums.append(found)
    total = sums[0] if len(sums) == 1 else torch.stack(sums).sum()
    return total * (c * ratio if together else c)


@torch.no_grad()
def add_gradient(
    target: Tensor, penalty: Penalty, w: Tensor, factor: Factor = 1.0, compiled: Compiled | None = None
) -> None:
    """target += factor · ∇R(w), in place; target may be w itself.

    Args:
        compiled: in one compiled pass where there is one.
    """
    factor = fold(factor)
    penalty = simpler(penalty)
    if isinstance(penalty, (L1, ElasticNet)) and plain(penalty):
        _add_signs(target, penalty, w, factor, compiled)
    elif isinstance(penalty, L2) and plain(penalty):
        step = fold(factor * penalty.per_element(w))
        if target is w:
            w.mul_(1.0 + step)
        else:
            accumulate(target, w, step)
    elif isinstance(factor, float) and toward.returning(penalty, w):
        toward.add_gradient(target, penalty, w, factor)
    elif isinstance(penalty, Sum):
        _add_sum(target, penalty, w, factor, compiled)
    elif isinstance(penalty, (GroupLasso, Norm)) and _by_norm(penalty):
        # ∇R = w · (one number a group): no temporary of the tensor's size
        target.addcmul_(w, (_group_scale(penalty, w) * factor).to(w.dtype))
    elif not isinstance(penalty, MaxNorm):
        accumulate(target, penalty.gradient(w), factor)


def _add_sum(target: Tensor, penalty: Sum, w: Tensor, factor: Factor, compiled: Compiled | None) -> None:
    if target is w and elementwise(penalty):
        for (block,) in blocks(w, share=8):
            accumulate(block, penalty.gradient(block), factor)
    elif target is w:  # the parts must all see the same weights
        accumulate(target, penalty.gradient(w), factor)
    else:
        for part in penalty.parts:
            add_gradient(target, part, w, factor, compiled)


def _add_signs(
    target: Tensor, penalty: L1 | ElasticNet, w: Tensor, factor: Factor, compiled: Compiled | None
) -> None:
    step = factor * coefficient(penalty, w)
    ratio = l1_share(penalty)
    if compiled is not None and compiled.add_slopes(target, w, step, ratio):
        return
    for goal, block, out in with_scratch(target, w):
        torch.sign(block, out=out)
        if _one_line(ratio, block):  # the goal is met once, which is what costs
            out.add_(block, alpha=(1.0 - ratio) / ratio)
        elif ratio < 1.0:  # before the signs, since goal may be block itself
            accumulate(goal, block, step * (1.0 - ratio))
        accumulate(goal, out, step * ratio)


def _by_norm(penalty: GroupLasso | Norm) -> bool:
    return type(penalty) in (GroupLasso, Norm) and getattr(penalty, "p", 2) == 2


def _group_scale(penalty: GroupLasso | Norm, w: Tensor) -> Tensor:
    """λ√|g| / ‖w_g‖, 0 for a group of zeros, with reduced dimensions kept."""
    if isinstance(penalty, Norm):
        norm, weight = penalty.norm(w)
    else:
        norm, weight = penalty.norms(w if w.element_size() >= 4 else w.float())
    return torch.where(norm > 0, weight / torch.where(norm > 0, norm, torch.ones_like(norm)), 0.0)
