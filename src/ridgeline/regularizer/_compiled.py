"""The elementwise passes, each compiled into one kernel: what is read or written once goes through memory once.

The eager passes of `_kernels` and `_prox_kernels` are the oracle. Numbers enter as 0-d tensors, so that a new
learning rate or strength compiles nothing anew.
"""

import warnings
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ridgeline.regularizer import _passes as passes
from ridgeline.regularizer._pieces import flat
from ridgeline.regularizer._together import Together

Factor = float | Tensor


@cache
def _kernel(passing: Callable[..., object]) -> Callable[..., object]:
    return torch.compile(passing, dynamic=True, fullgraph=True)


class Compiled:
    """The compiled passes. Each answers None (or False) where the eager one must do it.

    Attributes:
        together: those over many tensors in one call.
    """

    def __init__(self) -> None:
        self.together = Together()

    def mixed(self, w: Tensor, ratio: float) -> Tensor | None:
        """Σ ρ|w| + ½(1 − ρ)w², shape (), at least float32."""
        found = _lines(w)
        if found is None:
            return None
        total: Tensor = _run(passes.mixed, found, ratio)
        return total

    def add_slopes(self, target: Tensor, w: Tensor, factor: Factor, ratio: float) -> bool:
        """target += c (ρ sign(w) + (1 − ρ)w); target may be w."""
        found = _lines(target, w)
        if found is None:
            return False
        _run(passes.add_slopes, found, factor, ratio)
        increment_version(target)
        return True

    def shrink(self, w: Tensor, second: Tensor, eps: float, pull: float, ratio: float) -> bool:
        """w ← S(rw, cρ)/(r + c(1 − ρ)), r = √second + ε, S the soft threshold."""
        found = _lines(w, second)
        if found is None:
            return False
        _run(passes.shrink, found, eps, pull, ratio)
        increment_version(w)
        return True


def _lines(*tensors: Tensor) -> tuple[Tensor, ...] | None:
    """The tensors as lines of memory, where a compiled pass takes them and is worth its call."""
    first = tensors[0]
    if first.numel() < passes.SMALLEST or passes.traced():
        return None
    if any(t.dtype != first.dtype or type(t.data) is not Tensor for t in tensors) or flat(*tensors) is None:
        return None
    # Not views, on whose bases the compiler would specialise; one for a tensor that is given twice.
    made = {id(t): passes.line(t) for t in tensors}
    return tuple(made[id(t)] for t in tensors)


@torch.no_grad()
def _run(passing: Callable[..., object], lines: Sequence[Tensor], *numbers: Factor) -> Any:
    return _kernel(passing)(*lines, *(_number(x, lines[0]) for x in numbers))


def _number(x: Factor, like: Tensor) -> Tensor:
    wide = torch.promote_types(like.dtype, torch.float32)
    if isinstance(x, Tensor):
        return x.to(device=like.device, dtype=wide)
    return torch.full((), x, dtype=wide, device=like.device)


def compile_now(weights: Sequence[Tensor], modes: Collection[str], compiled: Compiled) -> None:
    """Compile the passes for the dtypes, devices and number of these weights.

    Args:
        modes: in which the weights are penalised.

    Raises:
        RuntimeError: where torch.compile cannot work, with its reason.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch's compiler about torch itself
            for dtype, device in sorted({(w.dtype, w.device) for w in weights}, key=str):
                w = torch.zeros(passes.SMALLEST, dtype=dtype, device=device)
                compiled.mixed(w, 1.0)
                compiled.add_slopes(torch.zeros_like(w), w, 1.0, 1.0)
                compiled.add_slopes(w, w, 1.0, 1.0)
                compiled.shrink(w, torch.ones_like(w), 1.0, 1.0, 1.0)
            compiled.together.compile_now(weights, modes)
    except Exception as error:  # the compiler's own, of many kinds
        inner = getattr(error, "inner_exception", error)
        reason = (str(inner).strip() or type(inner).__name__).splitlines()[0]
        raise RuntimeError(
            f"regularize: compile=True, but torch.compile does not work here ({reason}); install a C++ "
            f"compiler, or leave compile out."
        ) from error
