"""What a forward pass of a pack reads, and where its backward pass writes the gradients of weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from ridgeline.lanes._products import apart, by_lane, pieces


class EarlyUpdate(Protocol):
    """What updates weights as soon as their gradient is there."""

    def takes(self, name: str) -> bool:
        """Whether it updates this parameter."""

    def update(self, name: str, lane: int, rows: slice, g: Tensor) -> None:
        """Update these rows of a lane's parameter by their gradient, which is overwritten."""


@dataclass
class Sink:
    """Where gradients go that a layer writes itself: no zeroing before it, no adding up behind it.

    Attributes:
        grads: views of the gradient buffer by name, [L, *shape].
        exact: whether products are float32's own; where they are rounded, so is that of a single example.
        first: the lane in the pack that is the first here.
        early: what updates weights in place of keeping their gradient; set for one update.
        written: those that this backward pass has reached; whoever reads the gradients clears it.
    """

    grads: Mapping[str, Tensor]
    exact: bool = True
    first: int = 0
    early: EarlyUpdate | None = None
    written: set[str] = field(default_factory=set)

    def product(self, name: str, a: Tensor, b: Tensor) -> None:
        """grads[name] ← a @ b, or + where it was written before; [L, m, k] @ [L, k, n].

        The weights may be updated by it, if they are large: nothing may read them afterwards.
        """
        goal = self.grads[name]
        if a.dtype is not goal.dtype:  # under autocast
            self.take(name, torch.bmm(a, b))
            return
        early = self.early
        if early is not None and early.takes(name) and apart(a, b):
            for lane, rows, found in pieces(a, b):
                early.update(name, self.first + lane, rows, found)
        elif apart(a, b):
            by_lane(goal, a, b, onto=name in self.written)
        elif name in self.written:
            goal.baddbmm_(a, b)
        elif self.exact and a.shape[2] == 1:  # an outer product, which batched products are slow at
            torch.mul(a, b, out=goal)
        else:
            torch.bmm(a, b, out=goal)
        self.written.add(name)

    def total(self, name: str, g: Tensor) -> None:
        """grads[name] ← Σ g over the examples, or + where it was written before; [L, m, n]."""
        goal = self.grads[name]
        if name in self.written or g.dtype is not goal.dtype:
            self.take(name, g.sum(1))
            return
        torch.sum(g, 1, out=goal)
        self.written.add(name)

    def take(self, name: str, g: Tensor) -> None:
        """grads[name] ← g, or + where it was written before; like grads[name], in its dtype or a lower one."""
        goal = self.grads[name]
        if name in self.written:
            goal.add_(g)
        else:
            goal.copy_(g)
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

    def trained(self, names: Sequence[str | None]) -> list[str | None]:
        """The names of those parameters that are trained; None in the place of the others."""
        return [name if name and self.weights[name].requires_grad else None for name in names]


Layer: TypeAlias = Callable[[Pass, Tensor], Tensor]
