"""The elementwise passes, each compiled into one kernel: what is read or written once goes through memory once.

The eager passes of `_kernels` and `_prox_kernels` are the oracle. Numbers enter as 0-d tensors, so that a new
learning rate or strength compiles nothing anew.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ridgeline.regularizer._pieces import flat

Factor = float | Tensor

# Below it a pass costs less than calling the compiled one.
SMALLEST = 1 << 14


def _mixed(w: Tensor, ratio: Tensor) -> Tensor:
    """Σ ρ|w| + ½(1 − ρ)w², in four sums at once: one alone would wait for each addition."""
    x = w.to(torch.promote_types(w.dtype, torch.float32))
    each = ratio * x.abs() + (0.5 - 0.5 * ratio) * x.square()
    rest = each.numel() % 4
    return each[rest:].view(4, -1).sum(0).sum() + each[:rest].sum()


def _add_slopes(target: Tensor, w: Tensor, factor: Tensor, ratio: Tensor) -> None:
    """target += c (ρ sign(w) + (1 − ρ)w)."""
    target.add_(factor * (ratio * w.sign() + (1.0 - ratio) * w))


def _shrink(w: Tensor, second: Tensor, eps: Tensor, pull: Tensor, ratio: Tensor) -> None:
    """w ← S(rw, cρ)/(r + c(1 − ρ)), r = √second + ε, S the soft threshold."""
    root = second.sqrt() + eps
    small = torch.clamp_min(w.abs() * root - pull * ratio, 0.0)
    w.copy_(torch.copysign(small / (root + pull * (1.0 - ratio)), w))  # one division: it is what costs


@cache
def _kernel(passing: Callable[..., object]) -> Callable[..., object]:
    return torch.compile(passing, dynamic=True, fullgraph=True)


class Compiled:
    """The compiled passes. Each answers None (or False) where the eager one must do it."""

    def mixed(self, w: Tensor, ratio: float) -> Tensor | None:
        """Σ ρ|w| + ½(1 − ρ)w², shape (), at least float32."""
        found = _lines(w)
        if found is None:
            return None
        total: Tensor = _run(_mixed, found, ratio)
        return total

    def add_slopes(self, target: Tensor, w: Tensor, factor: Factor, ratio: float) -> bool:
        """target += c (ρ sign(w) + (1 − ρ)w); target may be w."""
        found = _lines(target, w)
        if found is None:
            return False
        _run(_add_slopes, found, factor, ratio)
        increment_version(target)
        return True

    def shrink(self, w: Tensor, second: Tensor, eps: float, pull: float, ratio: float) -> bool:
        """w ← S(rw, cρ)/(r + c(1 − ρ)), r = √second + ε, S the soft threshold."""
        found = _lines(w, second)
        if found is None:
            return False
        _run(_shrink, found, eps, pull, ratio)
        increment_version(w)
        return True


def _lines(*tensors: Tensor) -> tuple[Tensor, ...] | None:
    """The tensors as lines of memory, where a compiled pass takes them and is worth its call."""
    first = tensors[0]
    if first.numel() < SMALLEST or torch.compiler.is_compiling():
        return None
    if any(t.dtype != first.dtype or type(t.data) is not Tensor for t in tensors) or flat(*tensors) is None:
        return None
    # Not views, on whose bases the compiler would specialise; one for a tensor that is given twice.
    made = {id(t): _line(t) for t in tensors}
    return tuple(made[id(t)] for t in tensors)


@torch.no_grad()
def _line(t: Tensor) -> Tensor:
    return torch.empty(0, dtype=t.dtype, device=t.device).set_(
        t.untyped_storage(), t.storage_offset(), (t.numel(),), (1,)
    )


@torch.no_grad()
def _run(passing: Callable[..., object], lines: Sequence[Tensor], *numbers: Factor) -> Any:
    return _kernel(passing)(*lines, *(_number(x, lines[0]) for x in numbers))


def _number(x: Factor, like: Tensor) -> Tensor:
    wide = torch.promote_types(like.dtype, torch.float32)
    if isinstance(x, Tensor):
        return x.to(device=like.device, dtype=wide)
    return torch.full((), x, dtype=wide, device=like.device)


def compile_now(weights: Sequence[Tensor]) -> None:
    """Compile the passes for the dtypes and devices of these weights.

    Raises:
        RuntimeError: where torch.compile cannot work, with its reason.
    """
    passes = Compiled()
    for dtype, device in sorted({(w.dtype, w.device) for w in weights}, key=str):
        w = torch.zeros(SMALLEST, dtype=dtype, device=device)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of torch's compiler about torch itself
                passes.mixed(w, 1.0)
                passes.add_slopes(torch.zeros_like(w), w, 1.0, 1.0)
                passes.add_slopes(w, w, 1.0, 1.0)
                passes.shrink(w, torch.ones_like(w), 1.0, 1.0, 1.0)
        except Exception as error:  # the compiler's own, of many kinds
            inner = getattr(error, "inner_exception", error)
            reason = (str(inner).strip() or type(inner).__name__).splitlines()[0]
            raise RuntimeError(
                f"regularize: compile=True, but torch.compile does not work here ({reason}); install a C++ "
                f"compiler, or leave compile out."
            ) from error
