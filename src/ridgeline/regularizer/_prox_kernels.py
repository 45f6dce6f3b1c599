"""Proximal operators in place, piece by piece, with the penalty's new value from the same pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, Penalty
from ridgeline.regularizer._kernels import Factor, blocks, coefficient, elastic_sum, plain
from ridgeline.regularizer._scratch import CHUNK, scratch


@dataclass(frozen=True)
class ElementStep:
    """One step an element, 1/H, computed from the optimizer's state of the same piece.

    Attributes:
        scaled: (factor, *state) -> factor/H, in the first scratch or a tensor of its own.
    """

    scaled: Callable[..., Tensor]

    def __call__(self, *state: Tensor) -> Tensor:
        """1/H."""
        return self.scaled(1.0, *state)


@torch.no_grad()
def apply_prox(
    penalty: Penalty, w: Tensor, step: Factor | Callable[..., Tensor], state: tuple[Tensor, ...] = ()
) -> Tensor | None:
    """w ← prox(w), in place; returns R of the new w where the same pass can give it.

    Args:
        step: one number, or a function of the same piece of each tensor in `state` that gives one step an
            element; pieces keep the temporaries small.
    """
    if isinstance(step, ElementStep) and _is_lasso(penalty):
        return _lasso_pass(penalty, w, step, state)  # type: ignore[arg-type]  # one of the two
    for block, *rest in _separate(penalty, w, state):
        given = step(*rest) if callable(step) else step
        block.copy_(penalty.prox(block, given))
    return None


def _is_lasso(penalty: Penalty) -> bool:
    kind = isinstance(penalty, L1) or (isinstance(penalty, ElasticNet) and penalty.l1_ratio > 0)
    return kind and plain(penalty) and getattr(penalty, "reduction", "") == "sum"


def _lasso_pass(penalty: L1 | ElasticNet, w: Tensor, step: ElementStep, state: tuple[Tensor, ...]) -> Tensor:
    """Soft threshold, shrinkage and value while a piece is in the cache."""
    strength = coefficient(penalty, w)
    ratio = penalty.l1_ratio if isinstance(penalty, ElasticNet) else 1.0
    dtype = torch.promote_types(w.dtype, torch.float32)
    total = torch.zeros((), dtype=dtype, device=w.device)
    for block, *rest in blocks(w, *state):
        threshold = step.scaled(strength * ratio, *rest)
        inside = torch.neg(threshold, out=scratch(block, 1))
        block.sub_(torch.clamp(block, inside, threshold, out=inside))
        if ratio < 1.0:
            block.div_(threshold.mul_((1.0 - ratio) / ratio).add_(1.0))
        total += elastic_sum(block, ratio, dtype)
    return strength * total


def _separate(penalty: Penalty, w: Tensor, state: tuple[Tensor, ...]) -> Iterator[tuple[Tensor, ...]]:
    """Pieces of w that the penalty's prox treats one by one: elements, groups, or the whole tensor."""
    if isinstance(penalty, (L1, L2, ElasticNet)) and plain(penalty) and penalty.reduction == "sum":
        yield from blocks(w, *state)
    elif isinstance(penalty, GroupLasso) and plain(penalty) and w.ndim:
        length = w.shape[penalty.dim]
        most = CHUNK // 8 if state else CHUNK  # Newton's method keeps eight tensors of a piece's size
        rows = max(most * length // max(w.numel(), 1), 1)
        for start in range(0, length, rows):
            count = min(rows, length - start)
            yield tuple(t.narrow(penalty.dim, start, count) for t in (w, *state))
    else:
        yield (w, *state)
