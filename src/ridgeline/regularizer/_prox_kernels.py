"""Proximal operators in place, piece by piece."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, Penalty
from ridgeline.regularizer import _compiled as fused
from ridgeline.regularizer._kernels import Factor, blocks, coefficient, flat, l1_share, plain
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
    compiled: bool = False,
) -> None:
    """w ← prox(w), in place.

    Args:
        step: one number, or a function of the same piece of each tensor in `state` that gives one step an
            element; pieces keep the temporaries small.
        compiled: in one compiled pass where there is one.
    """
    if isinstance(step, ElementStep) and isinstance(penalty, (L1, ElasticNet)) and _scaled(penalty, w, step):
        _lasso_pass(penalty, w, step, state, compiled)
        return
    for block, *rest in _separate(penalty, w, state):
        given = step(*rest) if callable(step) else step
        block.copy_(penalty.prox(block, given))


def _scaled(penalty: L1 | ElasticNet, w: Tensor, step: ElementStep) -> bool:
    """Whether the soft threshold may be taken of H·w, with one number for all elements.

    Multiplying and dividing again rounds twice, which half precision cannot afford.
    """
    numbers = isinstance(step.top, float) and isinstance(coefficient(penalty, w), float)
    return numbers and plain(penalty) and penalty.reduction == "sum" and w.element_size() >= 4


def _lasso_pass(
    penalty: L1 | ElasticNet, w: Tensor, step: ElementStep, state: tuple[Tensor, ...], compiled: bool
) -> None:
    """u = S(H w, λρ)/(H + λ(1 − ρ)), S the soft threshold, with both sides of H = root/top times top."""
    strength, top = coefficient(penalty, w), step.top
    assert isinstance(strength, float)
    assert isinstance(top, float)
    ratio = l1_share(penalty)
    if compiled and step.eps is not None and all(s.dtype == w.dtype for s in state):
        lines = flat(w.detach(), *state)
        if lines is not None and fused.fits(lines):
            pull = strength * top
            fused.shrink(lines[0], lines[1], step.eps, pull * ratio, pull * (1.0 - ratio))
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
    if isinstance(penalty, (L1, L2, ElasticNet)) and plain(penalty) and penalty.reduction == "sum":
        yield from blocks(w, *state, share=4 if state else 2)  # for the formulas' own temporaries
    elif isinstance(penalty, GroupLasso) and plain(penalty) and w.ndim:
        length = w.shape[penalty.dim]
        most = CHUNK // 16 if state else CHUNK // 2  # Newton's method keeps a dozen tensors of that size
        rows = max(most * length // max(w.numel(), 1), 1)
        for start in range(0, length, rows):
            count = min(rows, length - start)
            yield tuple(t.narrow(penalty.dim, start, count) for t in (w, *state))
    else:
        yield (w, *state)
