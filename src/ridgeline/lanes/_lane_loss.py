"""Losses of a pack: one number a lane to train on, one an example to judge by."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ridgeline.lanes._cross_entropy import cross_entropy
from ridgeline.lanes._loss import example_losses
from ridgeline.lanes._settings import LossName


def losses_by_example(loss: LossName, output: Tensor, y: Tensor) -> Tensor:
    """The data loss of each example of each lane: output [L, n, …], y [L, n, …] -> [L, n]."""
    if loss == "cross_entropy" and output.dtype in (torch.float32, torch.float64):
        return cross_entropy(output, y)
    return example_losses(loss, output.flatten(0, 1), y.flatten(0, 1)).view(output.shape[:2])


def batch_losses(loss: LossName, output: Tensor, y: Tensor, smoothing: Tensor | None) -> Tensor:
    """The mean data loss of each lane's batch, [L].

    Args:
        smoothing: label smoothing of each lane, [L]; None where no lane has any.
    """
    if smoothing is None:
        return losses_by_example(loss, output, y).mean(1)
    logs = torch.log_softmax(output, 2)
    hit = -logs.gather(2, y[:, :, None]).squeeze(2)
    share = smoothing[:, None]
    spread = torch.where(
        share > 0, share * logs.mean(2), 0.0
    )  # a logit of −∞ is no matter where there is none
    return ((1.0 - share) * hit - spread).mean(1)


def corrects(output: Tensor, y: Tensor) -> Tensor:
    """Whether the largest output is the class, bool [L, n]."""
    return output.argmax(2) == y


def smoothing_of(values: Sequence[float], like: Tensor) -> Tensor | None:
    """Label smoothing of each lane as a tensor; None where there is none."""
    return torch.tensor(values, dtype=like.dtype, device=like.device) if any(values) else None
