"""Lanes that take a training pass together: all of them, or so few that what they compute stays near the cache."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch
from torch import Tensor

from ridgeline.lanes._lane_gradients import gather
from ridgeline.lanes._lane_loss import batch_losses, batch_slopes
from ridgeline.lanes._links import is_link
from ridgeline.lanes._pass import Layer, Pass, Sink
from ridgeline.lanes._settings import LossName

# Numbers that the forward pass of one turn may compute on a CPU: 32 MB of float32.
_NUMBERS = 1 << 23


class Turn:
    """The lanes first…last, which are a part of the pack or all of it.

    Attributes:
        leaves: their weights, [l, *shape], as autograd differentiates by them.
        here: what their forward pass reads: the leaves, buffers, and the sink of gradients.
    """

    def __init__(
        self,
        first: int,
        last: int,
        weights: Mapping[str, Tensor],
        slopes: Mapping[str, Tensor],
        kept: Mapping[str, Tensor],
        exact: bool,
    ) -> None:
        self.first, self.last = first, last
        self.leaves = {name: w[first:last].detach().requires_grad_() for name, w in weights.items()}
        self.sink = Sink({name: g[first:last] for name, g in slopes.items()}, exact, first)
        own = {name: t[first:last] for name, t in kept.items()}
        self.here = Pass({**self.leaves, **own}, True, self.sink)

    def losses(
        self, layer: Layer, x: Tensor, y: Tensor, loss: LossName, smoothing: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """A training pass, of what belongs to these lanes, and its gradients: the loss of each batch, and outputs."""
        if self.last - self.first < len(x):
            own = slice(self.first, self.last)
            x, y, smoothing = x[own], y[own], None if smoothing is None else smoothing[own]
        autocast = torch.is_autocast_enabled(x.device.type)  # a person's own, around the run
        if is_link(layer) and not autocast:
            with torch.no_grad():
                output, pull = layer.linked(self.here, x)
                losses, slope = batch_slopes(loss, output, y, smoothing)
                pull(slope, False)
        else:
            output = layer(self.here, x)
            losses = batch_losses(loss, output, y, smoothing)
            losses.backward(torch.ones_like(losses))
        gather(self.leaves, self.sink)
        return losses.detach(), output.detach()


def at_once(batch_size: int, numbers: int, cpu: bool) -> int:
    """How many lanes take a turn together; 0 for all of them. It depends on nothing that a lane may leave.

    Args:
        numbers: that a forward pass reads and computes for one example of one lane.

    Example:
        >>> at_once(32, 300, cpu=True), at_once(100, 60_000, cpu=True), at_once(100, 60_000, cpu=False)
        (873, 1, 0)
    """
    return max(1, _NUMBERS // (batch_size * numbers)) if cpu else 0


def slices(lanes: int, most: int) -> Iterator[tuple[int, int]]:
    """Lanes cut into even pieces of about `most`: none is of one lane, whose products round otherwise, or all are.

    Example:
        >>> list(slices(5, 2)), list(slices(3, 1)), list(slices(3, 0))
        ([(0, 2), (2, 5)], [(0, 1), (1, 2), (2, 3)], [(0, 3)])
    """
    count = max(1, lanes // most) if most else 1
    bounds = [round(k * lanes / count) for k in range(count + 1)]
    yield from pairwise(bounds)
