"""Native lane layers: what a module does to one lane, done to x [L, B, …] with weights [L, *shape].

Results of a lane depend neither on its neighbours nor on its place nor, from two lanes up, on their number.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.lanes._stack import ROW

# Elements in two AVX-512 registers, twice over: the remainder of such a block is computed by other code.
_BLOCK = 64


@dataclass
class Sink:
    """Where gradients go that a layer writes itself: no zeroing before it, no adding up behind it.

    Attributes:
        grads: views of the gradient buffer by name, [L, *shape].
        written: those that this backward pass has reached.
    """

    grads: Mapping[str, Tensor]
    written: set[str] = field(default_factory=set)

    def product(self, name: str, a: Tensor, b: Tensor) -> None:
        """grads[name] ← a @ b, or + where it was written before; [L, m, k] @ [L, k, n]."""
        goal = self.grads[name]
        if name in self.written:
            goal.baddbmm_(a, b)
        elif a.shape[2] == 1:  # one example: the outer product, which batched products are slow at
            torch.mul(a, b, out=goal)
        else:
            torch.bmm(a, b, out=goal)
        self.written.add(name)

    def total(self, name: str, g: Tensor) -> None:
        """grads[name] ← Σ g over the examples, or + where it was written before; [L, m, n]."""
        goal = self.grads[name]
        if name in self.written:
            goal.add_(g.sum(1))
        else:
            torch.sum(g, 1, out=goal)
        self.written.add(name)


@dataclass(frozen=True)
class Pass:
    """What a forward pass reads.

    Attributes:
        weights: parameters and buffers of the lanes by name, [L, *shape].
        sink: of a pass that will be differentiated.
    """

    weights: Mapping[str, Tensor]
    training: bool
    sink: Sink | None = None


Layer: TypeAlias = Callable[[Pass, Tensor], Tensor]


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
        return (torch.bmm(g, w) if ctx.needs_input_grad[0] else None), None, None, None, None


def aligned(x: Tensor) -> Tensor:
    """x [L, m, n] with every lane at the start of a cache line: products round by where their matrices lie.

    Measured with MKL: of 37×6 matrices laid end to end, a few in a hundred elements differ by their place.
    """
    if x.stride(2) == 1 and x.stride(1) == x.shape[2] and x.stride(0) % ROW == 0:
        return x
    size = x.shape[1] * x.shape[2]
    if size % ROW == 0:
        return x.contiguous()
    room = x.new_empty(len(x), -(-size // ROW) * ROW)[:, :size].view(x.shape)
    return room.copy_(x)


def product(x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """x Wᵀ + b, [L, M, I] -> [L, M, O]."""
    return torch.bmm(x, w.mT) if b is None else torch.baddbmm(b[:, None], x, w.mT)


_apply: Callable[..., Tensor] = _Linear.apply


def linear(weight: str, bias: str | None) -> Layer:
    """nn.Linear by the names of its parameters."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        w, b = here.weights[weight], None if bias is None else here.weights[bias]
        flat = x if x.ndim == 3 else x.flatten(1, -2)
        names, sink = (weight, bias or ""), here.sink
        y = product(aligned(flat), w, b) if sink is None else _apply(flat, w, b, sink, names)
        return y if x.ndim == 3 else y.unflatten(1, x.shape[1:-1])

    return layer


def folded(function: Callable[[Tensor], Tensor]) -> Layer:
    """A function of single examples: lanes are further examples to it."""
    return lambda here, x: function(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def elementwise(function: Callable[[Tensor], Tensor], exact: bool) -> Layer:
    """A function of single numbers.

    Args:
        exact: vectors and remainders round alike; otherwise each lane is filled up to whole blocks, so that
            no element's rounding depends on the lanes before it.
    """

    def layer(here: Pass, x: Tensor) -> Tensor:
        size = x[0].numel()
        if exact or size % _BLOCK == 0:
            return function(x)
        filled = F.pad(x.reshape(len(x), size), (0, -size % _BLOCK))
        return function(filled)[:, :size].view(x.shape)

    return layer


def flatten(start: int, end: int) -> Layer:
    """nn.Flatten, which counts dimensions without the lanes."""
    return lambda here, x: x.flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)


def sequence(layers: list[Layer]) -> Layer:
    """One after another."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        for each in layers:
            x = each(here, x)
        return x

    return layer


def convolution(module: Any, weight: str, bias: str | None) -> Layer:
    """A convolution, one lane after another: a grouped one is two to three times slower on a CPU."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        biases = [None] * len(x) if bias is None else here.weights[bias].unbind()
        lanes = zip(x.unbind(), here.weights[weight].unbind(), biases, strict=True)
        return torch.stack([module._conv_forward(xi, wi, bi) for xi, wi, bi in lanes])

    return layer


def embedding(weight: str) -> Layer:
    """A look-up: lane l reads rows l·V … of all tables laid end to end."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        w = here.weights[weight]
        first = torch.arange(len(w), device=w.device).mul_(w.shape[1])
        index = x + first.view(-1, *([1] * (x.ndim - 1)))
        return F.embedding(index, w.reshape(-1, w.shape[2]))

    return layer


def scaled(inner: Layer, weight: str | None, bias: str | None, dims: Callable[[Tensor], list[int]]) -> Layer:
    """A normalization without its affine part, then that part lane by lane.

    Args:
        dims: of an x [L, B, …], the shape of one lane's weight seen from an example.
    """

    def layer(here: Pass, x: Tensor) -> Tensor:
        y, shape = inner(here, x), dims(x)
        if weight is not None:
            y = y * here.weights[weight].view(len(x), 1, *shape)
        return y if bias is None else y + here.weights[bias].view(len(x), 1, *shape)

    return layer


def batch_norm(module: nn.modules.batchnorm._BatchNorm, names: Mapping[str, str]) -> Layer:
    """Batch normalization with the statistics of each lane's own batch, and its own running ones."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        def flat(key: str) -> Tensor | None:
            return here.weights[names[key]].flatten() if key in names else None

        mean, var = flat("running_mean"), flat("running_var")
        factor = 0.0 if module.momentum is None else module.momentum
        if here.training and mean is not None:
            seen = here.weights[names["num_batches_tracked"]]
            seen.add_(1)
            if module.momentum is None:
                factor = 1.0 / float(seen[0])
        channels = x.transpose(0, 1).flatten(1, 2)  # [B, L·C, …]: a lane's channels are channels of their own
        y: Tensor = F.batch_norm(
            channels,
            mean,
            var,
            flat("weight"),
            flat("bias"),
            here.training or mean is None,
            factor,
            module.eps,
        )
        split: Tensor = y.unflatten(1, (len(x), -1))
        return split.transpose(0, 1)

    return layer
