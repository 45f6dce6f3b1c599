"""Large float32 matrix products on the CPU by oneDNN, where torch's own library is slower (AMD's processors)."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError

Products: TypeAlias = Literal["torch", "onednn"]

# Multiply-adds from which a product is given to oneDNN: below, its set-up of 10 µs costs more than it saves.
_LARGE = 1 << 21
# Elements of a product that are taken at once, 4 MB of float32, and rows of it: whole vectors.
_PIECE, _TOGETHER = 1 << 20, 16
# oneDNN must be this much faster to be chosen: measuring is noisy, and on Intel's processors they are alike.
_CLEARLY = 1.25
# What large products of single lanes are taken by now.
_ACTIVE: Products | Literal["bf16"] = "torch"


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b by oneDNN, in float32; x (m, k), weight (n, k), bias (n,)."""
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return found


def linear_bf16(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b of operands rounded to bfloat16, by oneDNN; the product is rounded too, all else is float32."""
    low: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    found = low.float()
    return found if bias is None else found.add_(bias)


def apart(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN takes the product of each lane, [L, m, k] and [L, k, n]; else torch takes them at once.

    oneDNN has no batched product that is as fast; what is large repays a call of its own.
    """
    return _ACTIVE != "torch" and is_large(a[0], b[0])


def pieces(a: Tensor, b: Tensor, added: Tensor | None = None) -> Iterator[tuple[int, slice, Tensor]]:
    """a b (+ added) of each lane by oneDNN: lane, rows, and these rows of the product.

    It cannot be told where to write, and to fill memory that is not in the cache takes it longer than the product
    itself: a gradient is therefore taken in pieces, which follow each other through the same small memory.
    """
    outer = a.shape[1] > a.shape[2]  # more rows than its sums have terms: it reads little, and writes much
    rows = max(1, _PIECE // (b.shape[2] * _TOGETHER)) * _TOGETHER if outer else a.shape[1]
    biases = [None] * len(a) if added is None else added.unbind()
    low = _ACTIVE == "bf16"
    for lane, (x, w, bias) in enumerate(zip(a, b.mT, biases, strict=True)):
        if low:
            x, w = x.to(torch.bfloat16), w.to(torch.bfloat16)
        for first in range(0, len(x), rows):
            some = x[first : first + rows]
            found = linear_bf16(some, w, bias) if low else linear(some, w, bias)
            yield lane, slice(first, first + rows), found


def by_lane(goal: Tensor, a: Tensor, b: Tensor, added: Tensor | None = None, *, onto: bool = False) -> None:
    """goal ← a b (+ added) of each lane by oneDNN.

    Args:
        onto: goal ← goal + a b.
    """
    for lane, rows, product in pieces(a, b, added):
        own = goal[lane, rows]
        own.add_(product) if onto else own.copy_(product)


@contextmanager
def lanes_taken_by(kind: Products | Literal["bf16"]) -> Iterator[None]:
    """Within, the large products of single lanes are taken by `kind`; "bf16" is oneDNN with rounded operands."""
    global _ACTIVE
    before, _ACTIVE = _ACTIVE, kind
    try:
        yield
    finally:
        _ACTIVE = before


def is_large(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN would be given the product a b of (m, k) and (k, n)."""
    return a.dtype is b.dtype is torch.float32 and a.shape[0] * a.shape[1] * b.shape[1] >= _LARGE


def _mm(a: Tensor, b: Tensor) -> Tensor:
    if is_large(a, b):
        return linear(a, b.t())
    return torch.mm(a, b, out=a.new_empty(a.shape[0], b.shape[1]))


def _addmm(added: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    if is_large(a, b) and added.shape == b.shape[1:] and added.dtype is a.dtype and beta == alpha == 1:
        return linear(a, b.t(), added)
    out = a.new_empty(a.shape[0], b.shape[1])
    return torch.addmm(added, a, b, beta=beta, alpha=alpha, out=out)


@contextmanager
def products(kind: Products) -> Iterator[None]:
    """Within, every large `mm` and `addmm` of this process is taken by `kind`, those of backward passes too.

    Both compute in float32; the order of their sums, and so the last bits, differ.

    Raises:
        RidgelineError: for "onednn" where this build of torch has no oneDNN.
    """
    if kind == "torch":
        yield
        return
    if not there():
        raise RidgelineError(
            "matrix products by oneDNN are asked for, which this build of torch lacks; choose another --out."
        )
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that a kernel is replaced, which is the purpose
        library.impl("mm", _mm, "CPU")
        library.impl("addmm", _addmm, "CPU")
    try:
        with lanes_taken_by(kind):
            yield
    finally:
        library._destroy()


def faster_products(largest: int) -> Products:
    """The library that takes large products faster on one core of this machine, measured in some 20 ms.

    Args:
        largest: multiply-adds of the largest product of a training step; small ones stay with torch.
    """
    if largest < 2 * _LARGE or not there():
        return "torch"
    x, weight = torch.ones(64, 1024), torch.ones(512, 1024)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        calls = {"torch": lambda: x @ weight.t(), "onednn": lambda: linear(x, weight)}
        pairs = [[_seconds(calls[name]) for name in calls] for _ in range(7)]
    finally:
        torch.set_num_threads(threads)
    return "onednn" if median(ours / theirs for ours, theirs in pairs) > _CLEARLY else "torch"


def largest_product(model: nn.Module, batch_size: int) -> int:
    """Multiply-adds of the largest product that a batch forms with a weight matrix of the model."""
    return batch_size * max((p.numel() for p in model.parameters() if p.ndim == 2), default=0)


def _seconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def there() -> bool:
    """Whether this build of torch has what oneDNN is called by."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
