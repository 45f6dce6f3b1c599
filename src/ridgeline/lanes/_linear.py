"""nn.Linear for all lanes: batched products, whose weight gradients go straight to the gradient buffer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ridgeline.lanes._pass import Layer, Pass, Sink
from ridgeline.lanes._products import by_lane
from ridgeline.lanes._stack import ROW


class _Linear(torch.autograd.Function):
    """y = x Wᵀ + b for x [L, M, I], W [L, O, I], b [L, O]; weight gradients go to the sink."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, sink: Sink, names: tuple[str, str]
    ) -> Tensor:
        x = aligned(x)
        ctx.save_for_backward(x, w)
        ctx.sink, ctx.names, ctx.biased = sink, names, b is not None
        return product(x, w, b)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        x, w = ctx.saved_tensors
        g = aligned(g)
        if ctx.needs_input_grad[1]:
            ctx.sink.product(ctx.names[0], g.mT, x)
        if ctx.biased and ctx.needs_input_grad[2]:
            ctx.sink.total(ctx.names[1], g)
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, None
        large = by_lane(g, w)
        if large is not None:
            return torch.stack(large), None, None, None, None
        goal = lined_up(g, len(g), g.shape[1], w.shape[2])
        return torch.bmm(g, w, out=goal), None, None, None, None


_apply: Callable[..., Tensor] = _Linear.apply


def linear(weight: str, bias: str | None) -> Layer:
    """nn.Linear by the names of its parameters."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        flat = x if x.ndim == 3 else x.flatten(1, -2)
        named = [weight] if bias is None else [weight, bias]
        flat, w, *rest = as_computed(flat, *(here.weights[name] for name in named))
        b = rest[0] if rest else None
        names, sink = (weight, bias or ""), here.sink
        y = product(aligned(flat), w, b) if sink is None else _apply(flat, w, b, sink, names)
        return y if x.ndim == 3 else y.unflatten(1, x.shape[1:-1])

    return layer


def as_computed(*operands: Tensor) -> list[Tensor]:
    """The operands of a product in the dtype that autocast would give them; as they are where it is off.

    Inside a Function autocast would do it out of sight, and the backward pass would meet two dtypes.
    """
    device = operands[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(operands)
    dtype = torch.get_autocast_dtype(device)
    return [each.to(dtype) for each in operands]


def aligned(x: Tensor) -> Tensor:
    """x [L, m, n] with every lane at the start of a cache line: products round by where their matrices lie.

    Measured with MKL: of 37×6 matrices laid end to end, a few in a hundred elements differ by their place;
    where the second factor lies row by row, as in the gradient of x, so do those of the result.
    """
    if x.stride(2) == 1 and x.stride(1) == x.shape[2] and x.stride(0) % _row(x) == 0:
        return x
    if x.shape[1] * x.shape[2] % _row(x) == 0:
        return x.contiguous()
    return lined_up(x, *x.shape).copy_(x)


def lined_up(like: Tensor, lanes: int, m: int, n: int) -> Tensor:
    """Memory for [lanes, m, n] with every lane at the start of a cache line."""
    room = -(-m * n // _row(like)) * _row(like)
    return like.new_empty(lanes, room)[:, : m * n].view(lanes, m, n)


def _row(x: Tensor) -> int:
    return ROW * max(1, 4 // x.element_size())


def product(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """x Wᵀ + b, [L, M, I] -> [L, M, O]."""
    large = by_lane(x, w.mT, b)
    if large is not None:
        return torch.stack(large)
    return torch.bmm(x, w.mT) if b is None else torch.baddbmm(b[:, None], x, w.mT)
