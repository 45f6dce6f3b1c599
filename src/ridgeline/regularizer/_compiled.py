"""The elementwise passes, each compiled into one kernel: what is read or written once goes through memory once.

The eager passes of `_kernels` and `_prox_kernels` are the oracle. Numbers enter as 0-d tensors, so that a new
learning rate or strength compiles nothing anew.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

Factor = float | Tensor

# Below it a pass costs less than calling the compiled one.
SMALLEST = 1 << 14


def _mixed(w: Tensor, absolute: Tensor, quadratic: Tensor) -> Tensor:
    """Σ a|w| + q w²."""
    x = w.to(torch.promote_types(w.dtype, torch.float32))
    return (absolute * x.abs() + quadratic * x.square()).sum()


def _add_slopes(target: Tensor, w: Tensor, absolute: Tensor, quadratic: Tensor) -> None:
    """target += a sign(w) + q w."""
    target.add_(absolute * w.sign() + quadratic * w)


def _shrink(w: Tensor, second: Tensor, eps: Tensor, absolute: Tensor, quadratic: Tensor) -> None:
    """w ← S(w, a/r)/(1 + q/r), r = √second + ε, S the soft threshold."""
    root = second.sqrt() + eps
    small = torch.clamp_min(w.abs() - absolute / root, 0.0)
    w.copy_(torch.copysign(small, w) * (root / (root + quadratic)))


@cache
def _kernel(pass_: Callable[..., object]) -> Callable[..., object]:
    return torch.compile(pass_, dynamic=True, fullgraph=True)


def fits(lines: tuple[Tensor, ...] | None) -> bool:
    """Whether a compiled pass takes these tensors, flat over their own memory, and is worth its call."""
    return lines is not None and lines[0].numel() >= SMALLEST and not torch.compiler.is_compiling()


def mixed(w: Tensor, absolute: float, quadratic: float) -> Tensor:
    """Σ a|w| + q w² of a flat tensor."""
    found = _kernel(_mixed)(w, _number(absolute, w), _number(quadratic, w))
    assert isinstance(found, Tensor)
    return found


def add_slopes(target: Tensor, w: Tensor, absolute: Factor, quadratic: Factor) -> None:
    """target += a sign(w) + q w, flat tensors; target may be w."""
    _kernel(_add_slopes)(target, w, _number(absolute, w), _number(quadratic, w))


def shrink(w: Tensor, second: Tensor, eps: float, absolute: float, quadratic: float) -> None:
    """w ← S(w, a/r)/(1 + q/r), r = √second + ε, flat tensors."""
    _kernel(_shrink)(w, second, *(_number(x, w) for x in (eps, absolute, quadratic)))


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
    for dtype, device in sorted({(w.dtype, w.device) for w in weights}, key=str):
        w = torch.zeros(SMALLEST, dtype=dtype, device=device)
        try:
            with torch.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of torch's compiler about torch itself
                mixed(w, 1.0, 1.0)
                add_slopes(torch.zeros_like(w), w, 1.0, 1.0)
                shrink(w, torch.ones_like(w), 1.0, 1.0, 1.0)
        except Exception as error:  # the compiler's own, of many kinds
            inner = getattr(error, "inner_exception", error)
            reason = (str(inner).strip() or type(inner).__name__).splitlines()[0]
            raise RuntimeError(
                f"regularize: compile=True, but torch.compile does not work here ({reason}); install a C++ "
                f"compiler, or leave compile out."
            ) from error
