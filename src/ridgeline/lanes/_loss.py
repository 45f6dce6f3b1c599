"""Losses: the scalar that is trained on, and one number for each example."""

import torch.nn.functional as F
from torch import Tensor

from ridgeline.lanes._settings import LossName


def batch_loss(loss: LossName, output: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean data loss of a batch, shape (). mse is the mean over all elements, as in torch."""
    if loss == "cross_entropy":
        return F.cross_entropy(output, y, label_smoothing=label_smoothing)
    mse = F.mse_loss(output, y)
    return mse if loss == "mse" else 0.5 * mse


def example_losses(loss: LossName, output: Tensor, y: Tensor) -> Tensor:
    """The data loss of each example, shape (n,); its mean is `batch_loss` without label smoothing."""
    if loss == "cross_entropy":
        return F.cross_entropy(output, y, reduction="none")
    squared = (output - y).square().flatten(1).mean(1)
    return squared if loss == "mse" else 0.5 * squared


def correct(output: Tensor, y: Tensor) -> Tensor:
    """Whether the largest output is the class, bool of shape (n,)."""
    return output.argmax(1) == y
