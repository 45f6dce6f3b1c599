"""Losses of a pack: one number a lane to train on, one an example to judge by."""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ridgeline.lanes._cross_entropy import cross_entropy, with_slope
from ridgeline.lanes._loss import check_shapes, example_losses
from ridgeline.lanes._settings import LossName


def losses_by_example(loss: LossName, output: Tensor, y: Tensor) -> Tensor:
    """The data loss of each example of each lane: output [L, n, …], y [L, n, …] -> [L, n]."""
    if loss == "cross_entropy" and _wide(output):
        return cross_entropy(output, y)
    if loss != "cross_entropy":
        check_shapes(output[0], y[0])
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


@torch.no_grad()
def batch_slopes(
    loss: LossName, output: Tensor, y: Tensor, smoothing: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The same, and the gradient of the output: that of autograd, which by hand takes a third of the time."""
    if loss == "cross_entropy" and smoothing is None and _wide(output):
        losses, slope = with_slope(output, y, _share(output))
        return losses.mean(1), slope
    if loss != "cross_entropy":
        check_shapes(output[0], y[0])
        apart = output - y
        lanes, examples, numbers = len(apart), apart.shape[1], math.prod(apart.shape[2:])
        half = 0.5 if loss == "half_mse" else 1.0
        squares = apart.square().reshape(lanes, examples, numbers)
        losses = (squares if numbers == 1 else squares.mean(2)).view(lanes, examples)
        losses = losses if half == 1.0 else half * losses
        slope = apart.mul_(2.0 * half * _weight(examples, numbers, apart.dtype)).to(output.dtype)
        return losses.mean(1) if examples > 1 else losses[:, 0], slope
    with torch.enable_grad():
        leaf = output.detach().requires_grad_()
        losses = batch_losses(loss, leaf, y, smoothing)
    (slope,) = torch.autograd.grad(losses, leaf, torch.ones_like(losses))
    return losses.detach(), slope


@lru_cache(maxsize=64)
def _weight(examples: int, numbers: int, dtype: torch.dtype) -> float:
    """What one number counts in the mean of a batch, divided in the order and the dtype of autograd."""
    return float(torch.full((), 1.0 / examples, dtype=dtype) / numbers)


def _share(like: Tensor) -> Tensor:
    """What an example's loss counts in the mean of its batch, [L, n]."""
    return like.new_full((), 1.0 / like.shape[1]).expand(like.shape[:2])


def _wide(output: Tensor) -> bool:
    return output.dtype in (torch.float32, torch.float64)


def corrects(output: Tensor, y: Tensor) -> Tensor:
    """Whether the largest output is the class, bool [L, n]."""
    return output.argmax(2) == y


def smoothing_of(values: Sequence[float], like: Tensor) -> Tensor | None:
    """Label smoothing of each lane as a tensor; None where there is none."""
    return torch.tensor(values, dtype=like.dtype, device=like.device) if any(values) else None
