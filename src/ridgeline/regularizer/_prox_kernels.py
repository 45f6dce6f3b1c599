"""Proximal operators in place, piece by piece."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, Norm, Penalty, Sum, lanes_of
from ridgeline.regularizer import _toward as toward
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._kernels import Factor, coefficient, elementwise, l1_share, plain, simpler
from ridgeline.regularizer._pieces import blocks
from ridgeline.regularizer._scratch import CHUNK


@dataclass(frozen=True)
class ElementStep:
    """One step an element, 1/H = top/root, computed from the optimizer's state of the same piece.

    Attributes:
        root: (*state) -> the denominator, in the scratch memory or a tensor of its own.
        top: the numerator.
        eps: where root is √v + ε of one tensor of state, that ε: a compiled pass needs no more.
    """

    root: Callable[..., Tensor]
    top: Factor
    eps: float | None = None

    def __call__(self, *state: Tensor) -> Tensor:
        """1/H."""
        root = self.root(*state)
        return torch.div(torch.as_tensor(self.top, dtype=root.dtype, device=root.device), root, out=root)


@torch.no_grad()
def apply_prox(
    penalty: Penalty,
    w: Tensor,
    step: Factor | Callable[..., Tensor],
    state: tuple[Tensor, ...] = (),
    compiled: Compiled | None = None,
) -> None:
    """w ← prox(w), in place.

    Args:
        step: one number, or a function of the same piece of each tensor in `state` that gives one step an
            element; pieces keep the temporaries small.
        compiled: in one compiled pass where there is one.
    """
    penalty = simpler(penalty)
    if isinstance(step, float) and toward.returning(penalty, w):
        toward.apply_prox(penalty, w, step)
        return
    if (
        isinstance(step, float)
        and type(penalty) is Norm
        and isinstance(penalty.strength, float)
        and w.element_size() >= 4
    ):
        norm = penalty.norm(w)[0]
        w.mul_(torch.where(norm > 0, 1.0 - penalty.strength * step / norm, 0.0).clamp_(min=0.0).to(w.dtype))
        return
    if isinstance(step, ElementStep) and isinstance(penalty, (L1, ElasticNet)) and scaled(penalty, w, step):
        _lasso_pass(penalty, w, step, state, compiled)
        return
    if isinstance(step, float) and isinstance(penalty, (L1, ElasticNet)) and plain(penalty):
        pull = coefficient(penalty, w) * step
        if isinstance(pull, float) and w.element_size() >= 4:
            _uniform_pass(w, pull, l1_share(penalty))
            return
    if isinstance(penalty, (L1, L2, ElasticNet)) and plain(penalty) and penalty.reduction == "mean":
        penalty = replace(penalty, strength=coefficient(penalty, w), reduction="sum")  # before it is cut
    for block, *rest in _separate(penalty, w, state):
        given = step(*rest) if callable(step) else step
        block.copy_(penalty.prox(block, given))


def _uniform_pass(w: Tensor, pull: float, ratio: float) -> None:
    """u = S(w, cρ)/(1 + c(1 − ρ)) with one number c for all elements."""
    torch.ops.aten.softshrink.out(w, pull * ratio, out=w)
    if ratio < 1.0:
        w.div_(1.0 + pull * (1.0 - ratio))


def scaled(penalty: L1 | ElasticNet, w: Tensor, step: ElementStep) -> bool:
    """Whether the soft threshold may be taken of H·w, with one number for all elements.

    Multiplying and dividing again rounds twice, which half precision cannot afford.
    """
    if not plain(penalty) or w.element_size() < 4:
        return False
    return isinstance(step.top, float) and isinstance(coefficient(penalty, w), float)


def _lasso_pass(
    penalty: L1 | ElasticNet,
    w: Tensor,
    step: ElementStep,
    state: tuple[Tensor, ...],
    compiled: Compiled | None,
) -> None:
    """u = S(H w, λρ)/(H + λ(1 − ρ)), S the soft threshold, with both sides of H = root/top times top."""
    strength, top = coefficient(penalty, w), step.top
    assert isinstance(strength, float)
    assert isinstance(top, float)
    if strength == 0.0:  # multiplying and dividing again would round
        return
    ratio = l1_share(penalty)
    compiled = None if step.eps is None else compiled
    if compiled is not None and compiled.shrink(w, state[0], step.eps or 0.0, strength * top, ratio):
        return
    for block, *rest in blocks(w, *state):
        root = step.root(*rest)
        block.mul_(root)
        torch.ops.aten.softshrink.out(block, strength * ratio * top, out=block)
        if ratio < 1.0:
            root.add_(strength * (1.0 - ratio) * top)
        block.div_(root)


def _separate(penalty: Penalty, w: Tensor, state: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of w that the penalty's prox treats one by one: elements, groups, or the whole tensor."""
    constraint = type(penalty) is MaxNorm and not lanes_of(penalty.limit)
    if elementwise(penalty):
        share = 4 if isinstance(penalty, Sum) else 2  # for the formulas' own temporaries
        yield from blocks(w, *state, share=2 * share if state else share)
    elif isinstance(penalty, (GroupLasso, MaxNorm)) and (plain(penalty) or constraint) and w.ndim:
        length = w.shape[penalty.dim]
        most = CHUNK // 16 if state else CHUNK // 2  # Newton's method keeps a dozen tensors of that size
        rows = max(most * length // max(w.numel(), 1), 1)
        for start in range(0, length, rows):
            count = min(rows, length - start)
            yield tuple(t.narrow(penalty.dim, start, count) for t in (w, *state))
    else:
        yield (w, *state)
