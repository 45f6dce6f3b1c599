"""Native lane layers: what a module does to one lane, done to x [L, B, …] with weights [L, *shape].

Results of a lane depend neither on its neighbours nor on its place nor, from two lanes up, on their number.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ridgeline.lanes._links import Chain, is_link
from ridgeline.lanes._pass import Layer, Pass

# Elements in two AVX-512 registers, twice over: the remainder of such a block is computed by other code.
_BLOCK = 64


def folded(function: Callable[[Tensor], Tensor]) -> Layer:
    """A function of single examples: lanes are further examples to it."""
    return lambda here, x: function(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def elementwise(function: Callable[[Tensor], Tensor], exact: bool) -> Layer:
    """A function of single numbers.

    Args:
        exact: vectors and remainders round alike; otherwise each lane is filled up to whole blocks, so that
            no element's rounding depends on the lanes before it.
    """

    return lambda here, x: function(x) if exact else in_blocks(function, x)


def in_blocks(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """A function of single numbers, each lane of x [L, …] filled up to whole blocks."""
    size, block = x[0].numel(), _BLOCK * max(1, 4 // x.element_size())
    if size % block == 0:
        return function(x)
    filled = F.pad(x.reshape(len(x), size), (0, -size % block))
    return function(filled)[:, :size].view(x.shape)


def sequence(layers: Sequence[Layer]) -> Layer:
    """One after another."""
    links = [each for each in layers if is_link(each)]
    if len(links) == len(layers):
        return Chain(links)

    def layer(here: Pass, x: Tensor) -> Tensor:
        for each in layers:
            x = each(here, x)
        return x

    return layer


def residual(body: Layer, shortcut: Layer) -> Layer:
    """Two ways for the same input, added up."""
    return lambda here, x: shortcut(here, x) + body(here, x)


def convolution(module: Any, weight: str, bias: str | None) -> Layer:
    """A convolution, one lane after another: a grouped one is two to three times slower on a CPU."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        biases = [None] * len(x) if bias is None else here.weights[bias].unbind()
        lanes = zip(x.unbind(), here.weights[weight].unbind(), biases, strict=True)
        return torch.stack([module._conv_forward(xi, wi, bi) for xi, wi, bi in lanes])

    return layer


def embedding(weight: str, padding: int | None) -> Layer:
    """A look-up: lane l reads rows l·V … of all tables laid end to end; the row `padding` is not trained."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        w = here.weights[weight]
        if bool(((x < 0) | (x >= w.shape[1])).any()):
            raise IndexError(f"index out of range: the embedding has {w.shape[1]} rows")  # not a neighbour's
        first = torch.arange(len(w), device=w.device).mul_(w.shape[1])
        index = x + first.view(-1, *([1] * (x.ndim - 1)))
        found = F.embedding(index, w.reshape(-1, w.shape[2]))
        return found if padding is None else without_padding(found, x, padding)

    return layer


def without_padding(found: Tensor, x: Tensor, padding: int) -> Tensor:
    """Rows of an embedding as they were looked up, without a gradient where the index is that of padding."""
    return torch.where((x == padding)[..., None], found.detach(), found)
