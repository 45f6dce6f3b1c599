"""Small models and the loops around them that the traps share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline import Regularizer


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> Any:
    """A model in double precision with the weights of a fixed seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make().double()


def mlp() -> Any:
    """Two linear layers with a normalization between them."""
    return seeded(lambda: nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 1)))


def line(inputs: int = 4) -> Any:
    """A linear regression."""
    return seeded(lambda: nn.Linear(inputs, 1))


def batch(rows: int = 16, inputs: int = 4) -> tuple[Tensor, Tensor]:
    """Inputs and targets that depend on the first input alone."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, inputs, generator=generator, dtype=torch.float64)
    return x, 2 * x[:, :1]


def data_loss(model: Any, inputs: int = 4) -> Tensor:
    """The mean squared error on the batch."""
    x, y = batch(inputs=inputs)
    return nn.functional.mse_loss(model(x), y)


def train(model: Any, optimizer: Optimizer, reg: Regularizer | None, steps: int = 5) -> list[Tensor]:
    """Steps on the batch, the penalty in the loss where it belongs there; the weights at the end."""
    inputs = next(p.shape[-1] for p in model.parameters() if p.ndim == 2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = data_loss(model, inputs)
        penalty = None if reg is None else reg.objective()
        (loss if penalty is None else loss + penalty).backward()
        optimizer.step()
    return weights(model)


def weights(model: nn.Module) -> list[Tensor]:
    """A copy of every parameter."""
    return [p.detach().clone() for p in model.parameters()]


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference between two lists of weights."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
