"""Matrix products and convolutions of float32 tensors on the CPU with bfloat16 operands: by replaced kernels.

torch's own switches (`torch.set_float32_matmul_precision("medium")`, `mkldnn.matmul.fp32_precision`) only
allow oneDNN to round, which it does on processors with AMX alone; elsewhere the products stay float32.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.library import Library, get_kernel

from ridgeline.lanes._products import lanes_taken_by, there

Kernel: TypeAlias = Callable[..., Any]

# The product that an operation is made of, and how it stores it.
_PRODUCTS = {
    name + variant: base
    for name, base in (("mm", "mm"), ("bmm", "bmm"), ("addmm", "mm"), ("baddbmm", "bmm"), ("addmv", "mv"))
    for variant in (("", ".out", "_") if name.startswith(("add", "badd")) else ("", ".out"))
}


def rounded(x: Tensor) -> Tensor:
    """x in bfloat16, to nearest, ties to even; what is broadcast over lanes is rounded once."""
    if x.ndim == 3 and x.stride(0) == 0 and len(x) > 1:
        return x[0].to(torch.bfloat16).expand(x.shape)
    return x.to(torch.bfloat16)


def _plain(product: Kernel) -> Kernel:
    def into(keys: Any, a: Tensor, b: Tensor, *, out: Tensor | None = None) -> Tensor:
        found: Tensor = product(keys, a, b)
        return found if out is None else _stored(out, found)

    return into


def _added(product: Kernel, in_place: bool) -> Kernel:
    def into(
        keys: Any,
        added: Tensor,
        a: Tensor,
        b: Tensor,
        *,
        beta: float = 1,
        alpha: float = 1,
        out: Tensor | None = None,
    ) -> Tensor:
        found: Tensor = product(keys, a, b)
        if alpha != 1:
            found.mul_(alpha)
        if beta != 0:
            found.add_(added, alpha=beta)
        goal = added if in_place else out
        return found if goal is None else _stored(goal, found)

    return into


def _stored(goal: Tensor, found: Tensor) -> Tensor:
    return goal.resize_(found.shape).copy_(found) if goal.shape != found.shape else goal.copy_(found)


def _product(base: str) -> Kernel:
    """The float32 result of a product of rounded operands; sums are float32, the result is rounded too."""
    kernel = get_kernel(f"aten::{'mm' if base == 'mv' else base}", "CPU")

    def product(keys: Any, a: Tensor, b: Tensor) -> Tensor:
        if base == "mv":
            found: Tensor = kernel.call_boxed(keys, rounded(a), rounded(b)[:, None])
            return found.squeeze(1).float()
        found = kernel.call_boxed(keys, rounded(a), rounded(b))
        return found.float()

    return product


def _convolution(kernel: Any, operands: int) -> Kernel:
    """A convolution or its backward pass with its first arguments rounded."""

    def convolved(keys: Any, *arguments: Any) -> Any:
        low = [None if each is None else rounded(each) for each in arguments[:operands]]
        found = kernel.call_boxed(keys, *low, *arguments[operands:])
        if isinstance(found, Tensor):
            return found.float()
        return tuple(None if each is None else each.float() for each in found)

    return convolved


def _only_float32(ours: Kernel, original: Any) -> Kernel:
    def chosen(keys: Any, *arguments: Any, **options: Any) -> Any:
        if arguments[0].dtype is torch.float32:
            return ours(keys, *arguments, **options)
        return original.call_boxed(keys, *arguments, **options)

    return chosen


def _kernels() -> dict[str, Kernel]:
    made: dict[str, Kernel] = {}
    for name, base in _PRODUCTS.items():
        product = _product(base)
        made[name] = _plain(product) if name.startswith(base) else _added(product, name.endswith("_"))
    for name, operands in (("convolution", 3), ("convolution_backward", 3)):
        made[name] = _convolution(get_kernel(f"aten::{name}", "CPU"), operands)
    return {name: _only_float32(ours, get_kernel(f"aten::{name}", "CPU")) for name, ours in made.items()}


@contextmanager
def bf16_products() -> Iterator[None]:
    """Within, every matrix product and convolution of float32 tensors on the CPU, backward passes too, is one of
    operands rounded to bfloat16, summed in float32, its result rounded to bfloat16 and kept in float32.

    What torch computes in one fused kernel, as attention and whole recurrent layers, is left alone.
    """
    made = _kernels()
    library = Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says once that a kernel is replaced, which is the purpose
        for name, kernel in made.items():
            library.impl(name, kernel, "CPU", with_keyset=True, allow_override=True)
    try:
        with lanes_taken_by("bf16" if there() else "torch"):  # whose kernels were replaced
            yield
    finally:
        library._destroy()
