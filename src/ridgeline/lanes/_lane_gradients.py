"""The gradients of a pack between backward pass and update: taken into one buffer, and clipped lane by lane."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ridgeline.lanes._pass import Sink
from ridgeline.lanes._stack import over_lanes


def gather(leaves: Mapping[str, Tensor], sink: Sink) -> None:
    """Take into the sink's buffer what autograd kept of gradients that the layers do not write themselves."""
    for name, leaf in leaves.items():
        if leaf.grad is not None:
            sink.take(name, leaf.grad)
        elif name not in sink.written:
            sink.grads[name].zero_()
        leaf.grad = None
    sink.written.clear()


def clip(grads: Mapping[str, Tensor], most: Sequence[float]) -> None:
    """Scale each lane's gradient to a norm of at most `most`, as torch's clip_grad_norm_ does one; ∞ is no limit."""
    norms = [torch.linalg.vector_norm(g.flatten(1), dim=1) for g in (s[:, None] for s in grads.values())]
    norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    limit = over_lanes(most, norm)
    factor = torch.where(limit.isinf(), 1.0, (limit / (norm + 1e-6)).clamp(max=1.0))  # ∞/∞ is no number
    for g in grads.values():
        g.mul_(factor.view(-1, *([1] * (g.ndim - 1))))
