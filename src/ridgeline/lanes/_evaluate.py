"""Evaluation: data loss and correctness of every example of a set, in evaluation mode."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ridgeline.data import Examples
from ridgeline.lanes._loss import correct, example_losses
from ridgeline.lanes._settings import LossName

_CHUNK = 1_000


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
    for start in range(0, len(examples), _CHUNK):
        index = torch.arange(start, min(start + _CHUNK, len(examples)))
        x, y = examples.batch(index)
        x, y = x.to(device), y.to(device)
        output = model(x)
        losses.append(example_losses(loss, output, y))
        if loss == "cross_entropy":
            hits.append(correct(output, y))
    model.train(was_training)
    return Evaluation(torch.cat(losses).cpu(), torch.cat(hits).cpu() if hits else None)
