"""nn.Linear for all lanes: batched products, whose weight gradients go straight to the gradient buffer."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ridgeline.lanes._aligned import aligned, lined_up, one_output, product
from ridgeline.lanes._links import Pull
from ridgeline.lanes._pass import Pass, Sink
from ridgeline.lanes._products import apart, by_lane


class _Linear(torch.autograd.Function):
    """y = x Wᵀ + b for x [L, M, I], W [L, O, I], b [L, O]; weight gradients go to the sink."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, sink: Sink, names: tuple[str, str | None]
    ) -> Tensor:
        x, y = _trained(x, w, b, sink)
        ctx.save_for_backward(x, w)
        ctx.sink, ctx.names = sink, names
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        x, w = ctx.saved_tensors
        asked = zip(ctx.names, ctx.needs_input_grad[1:3], strict=True)
        names = [name if needed else None for name, needed in asked]
        return _slopes(ctx.sink, names, x, w, g, ctx.needs_input_grad[0]), None, None, None, None


def _trained(x: Tensor, w: Tensor, b: Tensor | None, sink: Sink) -> tuple[Tensor, Tensor]:
    """x as the gradients need it, and x Wᵀ + b."""
    if x.shape[1] == w.shape[1] == 1 and sink.exact:  # batched products are slow at a product of two vectors
        y = (x * w).sum(2, keepdim=True)
        return x, y if b is None else y + b[:, None]
    x = aligned(x)
    return x, product(x, w, b)


def _slopes(
    sink: Sink, names: Sequence[str | None], x: Tensor, w: Tensor, g: Tensor, needed: bool
) -> Tensor | None:
    """The gradients of weight and bias to the sink, where they are named; returns the input's where it is needed."""
    weight, bias = names
    g, slope = aligned(g), None
    if needed:
        slope = lined_up(g, len(g), g.shape[1], w.shape[2])
        if apart(g, w):
            by_lane(slope, g, w)
        else:
            torch.bmm(g, w, out=slope)
    if bias is not None:
        sink.total(bias, g)
    if weight is not None:
        sink.product(weight, g.mT, x)  # which may update the weights: it comes last
    return slope


_apply: Callable[..., Tensor] = _Linear.apply


class Linear:
    """nn.Linear by the names of its parameters."""

    trains = True

    def __init__(self, weight: str, bias: str | None) -> None:
        self.names = (weight, bias)

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        flat = x if x.ndim == 3 else x.flatten(1, -2)
        flat, w, *rest = as_computed(flat, *(here.weights[name] for name in self.names if name))
        b = rest[0] if rest else None
        sink = here.sink
        y = _evaluated(flat, w, b) if sink is None else _apply(flat, w, b, sink, self.names)
        return y if x.ndim == 3 else y.unflatten(1, x.shape[1:-1])

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """The gradients of its weights go to the sink."""
        weight, bias = self.names
        w, b = here.weights[weight], None if bias is None else here.weights[bias]
        sink, shape = here.sink, x.shape
        assert sink is not None
        flat, y = _trained(x if x.ndim == 3 else x.flatten(1, -2), w, b, sink)
        trained = here.trained(self.names)

        def back(g: Tensor, needed: bool) -> Tensor | None:
            g = g if g.ndim == 3 else g.flatten(1, -2)
            slope = _slopes(sink, trained, flat, w, g, needed)
            return slope if slope is None else slope.reshape(shape)

        return y if x.ndim == 3 else y.unflatten(1, shape[1:-1]), back


def _evaluated(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """x Wᵀ + b of many examples, which lanes often share."""
    if w.shape[1] > 1 or x.device.type != "cpu":
        return product(aligned(x), w, b)
    y = one_output(aligned(x), w[:, 0])
    return y if b is None else y + b[:, None]


def as_computed(*operands: Tensor) -> list[Tensor]:
    """The operands of a product in the dtype that autocast would give them; as they are where it is off.

    Inside a Function autocast would do it out of sight, and the backward pass would meet two dtypes.
    """
    device = operands[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(operands)
    dtype = torch.get_autocast_dtype(device)
    return [each.to(dtype) for each in operands]
