"""Evaluation: data loss and correctness of every example of a set, in evaluation mode."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ridgeline.data import Examples
from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes._loss import correct, example_losses
from ridgeline.lanes._settings import LossName

_MOST = 1_000
# Numbers that a piece of a set may hold on a CPU: a CNN's activations then stay near the cache, which is
# twice as fast as 1,000 images at once.
_NUMBERS = 1 << 18


def piece_size(count: int, width: int, device: torch.device) -> int:
    """How many of `count` examples of `width` numbers each (0: unknown) are evaluated at once.

    Example:
        >>> cpu = torch.device("cpu")
        >>> piece_size(10_000, 64, cpu), piece_size(10_000, 784, cpu), piece_size(20, 784, cpu)
        (1000, 335, 20)
    """
    fitting = -(-_NUMBERS // width) if width and device.type == "cpu" else _MOST
    return max(1, min(_MOST, fitting, count))


@dataclass(frozen=True)
class Evaluation:
    """One number an example: data loss (n,), and correctness (n,) for classification."""

    losses: Tensor
    correct: Tensor | None

    @property
    def loss(self) -> float:
        """The mean data loss."""
        return float(self.losses.double().mean())

    @property
    def accuracy(self) -> float | None:
        """The share of correct examples; None for regression."""
        return None if self.correct is None else float(self.correct.double().mean())


@torch.no_grad()
def evaluate(model: nn.Module, examples: Examples, loss: LossName, device: torch.device) -> Evaluation:
    """Data loss and correctness of each example, without penalty, dropout or label smoothing."""
    was_training = model.training
    model.eval()
    losses, hits = [], []
    width = examples.x[:1].numel() if isinstance(examples, ArrayExamples) else 0
    size = piece_size(len(examples), width, device)
    for start in range(0, len(examples), size):
        index = torch.arange(start, min(start + size, len(examples)))
        x, y = examples.batch(index)
        x, y = x.to(device), y.to(device)
        output = model(x)
        losses.append(example_losses(loss, output, y))
        if loss == "cross_entropy":
            hits.append(correct(output, y))
    model.train(was_training)
    return Evaluation(torch.cat(losses).cpu(), torch.cat(hits).cpu() if hits else None)
