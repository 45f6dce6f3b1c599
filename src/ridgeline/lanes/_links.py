"""Layers whose gradients are taken by hand: in a plain chain of them, autograd takes longer than small products.

Each gives the numbers of its counterpart under autograd, bit for bit; but sums over the pixels of an image, as the
gradient of a convolution's bias, may be taken in another order.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeAlias, TypeGuard

import torch
from torch import Tensor

from ridgeline.lanes._masks import LaneDropout
from ridgeline.lanes._pass import Layer, Pass

# From the gradient of a layer's output, which it may overwrite, to that of its input, where that is asked for.
Pull: TypeAlias = Callable[[Tensor, bool], Tensor | None]


class Link(Protocol):
    """A layer that also gives its pull.

    Attributes:
        trains: whether it has weights.
    """

    trains: bool

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        """Its output, differentiable."""

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """Its output, and what takes the gradient back; without grad mode."""


def is_link(layer: Layer) -> TypeGuard[Link]:
    """Whether a layer gives its pull."""
    return getattr(layer, "linked", None) is not None


def parameters_of(layer: Layer) -> Iterator[str]:
    """The names of the parameters that links read, each as often as it is read; none for another layer."""
    if isinstance(layer, Chain):
        for each in layer.links:
            yield from parameters_of(each)
    elif is_link(layer):
        yield from (name for name in getattr(layer, "names", ()) if name is not None)


class Chain:
    """Links one after another."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = list(links)
        self.trains = any(each.trains for each in links)
        # whether one before it has weights, so that its input's gradient is needed
        self._inner = [any(each.trains for each in links[:k]) for k in range(len(links))]

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        for each in self.links:
            x = each(here, x)
        return x

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """The last one's output."""
        pulls = []
        for each in self.links:
            x, pull = each.linked(here, x)
            pulls.append(pull)

        def back(g: Tensor, needed: bool) -> Tensor | None:
            slope: Tensor | None = g
            for pull, inner in zip(reversed(pulls), reversed(self._inner), strict=True):
                if slope is None:
                    break
                slope = pull(slope, needed or inner)
            return slope

        return x, back


class Relu:
    """max(x, 0)."""

    trains = False

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        return torch.relu(x)

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """The gradient passes where the output is above 0."""
        y = torch.relu(x)

        def back(g: Tensor, needed: bool) -> Tensor | None:
            return torch.ops.aten.threshold_backward.grad_input(g, y, 0, grad_input=g) if needed else None

        return y, back


class Flat:
    """nn.Flatten, which counts dimensions without the lanes."""

    trains = False

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = (each + 1 if each >= 0 else each for each in (start, end))

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        return x.flatten(self.start, self.end)

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """The gradient gets the input's shape."""
        shape = x.shape
        return x.flatten(self.start, self.end), lambda g, needed: g.reshape(shape) if needed else None


class Drop:
    """Dropout by the masks of each lane."""

    trains = False

    def __init__(self, lanes: LaneDropout) -> None:
        self.lanes = lanes

    def __call__(self, here: Pass, x: Tensor) -> Tensor:
        return x * self.lanes.factors(x) if here.training and not self.lanes.off else x

    def linked(self, here: Pass, x: Tensor) -> tuple[Tensor, Pull]:
        """The gradient meets the same mask."""
        if not here.training or self.lanes.off:
            return x, lambda g, needed: g if needed else None
        factors = self.lanes.factors(x)
        return x * factors, lambda g, needed: g * factors if needed else None
