"""What the compiled passes compute: formulas over whole lines of memory, with numbers as 0-d tensors."""

import torch
from torch import Tensor

# Below it a pass costs less than calling the compiled one.
SMALLEST = 1 << 14


def mixed(w: Tensor, ratio: Tensor) -> Tensor:
    """Σ ρ|w| + ½(1 − ρ)w², in four sums at once: one alone would wait for each addition."""
    x = w.to(torch.promote_types(w.dtype, torch.float32))
    each = ratio * x.abs() + (0.5 - 0.5 * ratio) * x.square()
    rest = each.numel() % 4
    return each[rest:].view(4, -1).sum(0).sum() + each[:rest].sum()


def add_slopes(target: Tensor, w: Tensor, factor: Tensor, ratio: Tensor) -> None:
    """target += c (ρ sign(w) + (1 − ρ)w)."""
    target.add_(factor * (ratio * w.sign() + (1.0 - ratio) * w))


def shrink(w: Tensor, second: Tensor, eps: Tensor, pull: Tensor, ratio: Tensor) -> None:
    """w ← S(rw, cρ)/(r + c(1 − ρ)), r = √second + ε, S the soft threshold."""
    root = second.sqrt() + eps
    small = torch.clamp_min(w.abs() * root - pull * ratio, 0.0)
    w.copy_(torch.copysign(small / (root + pull * (1.0 - ratio)), w))  # one division: it is what costs


def traced() -> bool:
    """Whether torch.compile or torch.func looks on, which see no memory."""
    return torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None


@torch.no_grad()
def line(t: Tensor) -> Tensor:
    """The memory of t as one dimension; no view, on whose base the compiler would specialise."""
    with torch.inference_mode(False):  # it may be kept, and written to later
        found = torch.empty(0, dtype=t.dtype, device=t.device)
        return found.set_(t.untyped_storage(), t.storage_offset(), (t.numel(),), (1,))
