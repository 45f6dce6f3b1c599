"""Losses: the scalar that is trained on, and one number for each example."""

import torch.nn.functional as F
from torch import Tensor

from ridgeline.errors import RidgelineError
from ridgeline.lanes._settings import LossName


def batch_loss(loss: LossName, output: Tensor, y: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean data loss of a batch, shape (). mse is the mean over all elements, as in torch."""
    if loss == "cross_entropy":
        return F.cross_entropy(output, y, label_smoothing=label_smoothing)
    check_shapes(output, y)
    mse = F.mse_loss(output, y)
    return mse if loss == "mse" else 0.5 * mse


def example_losses(loss: LossName, output: Tensor, y: Tensor) -> Tensor:
    """The data loss of each example, shape (n,); its mean is `batch_loss` without label smoothing."""
    if loss == "cross_entropy":
        return F.cross_entropy(output, y, reduction="none")
    check_shapes(output, y)
    squared = (output - y).square().flatten(1).mean(1)
    return squared if loss == "mse" else 0.5 * squared


def check_shapes(output: Tensor, y: Tensor) -> None:
    """Refuse a regression whose numbers would be broadcast, each to all targets.

    Raises:
        RidgelineError: naming both shapes.
    """
    if output.shape != y.shape:
        shapes = f"{tuple(output.shape)}, the targets {tuple(y.shape)}"
        raise RidgelineError(
            f"the model's outputs of a batch have shape {shapes}; a regression needs one output a target, "
            f"so reshape the one or the other."
        )


def correct(output: Tensor, y: Tensor) -> Tensor:
    """Whether the largest output is the class, bool of shape (n,)."""
    return output.argmax(1) == y
