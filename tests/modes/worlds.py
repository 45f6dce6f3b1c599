"""A small float64 world for every mode: a model, a batch, and the penalty written by plain autograd."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, Norm, Orthogonal, Penalty

PENALTIES: dict[str, Penalty] = {
    "L1": L1(0.3),
    "L2": L2(0.3),
    "L2 as a tensor": L2(torch.tensor(0.25, dtype=torch.float64)),
    "ElasticNet": ElasticNet(0.3, 0.4),
    "GroupLasso": GroupLasso(0.3),
    "Norm": Norm(0.3),
    "Orthogonal": Orthogonal(0.3),
    "L1+GroupLasso": L1(0.2) + GroupLasso(0.3, dim=1),
}


def network(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Two linear layers; the default selection takes their weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def batch(seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Ten samples."""
    g = torch.Generator().manual_seed(seed)
    x, y = torch.randn(10, 4, generator=g), torch.randn(10, 3, generator=g)
    return x.to(dtype), y.to(dtype)


def data_loss(model: Callable[[Tensor], Tensor], seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """The squared error on a batch."""
    x, y = batch(seed, dtype)
    return nn.functional.mse_loss(model(x), y)


def weights(model: nn.Module) -> list[nn.Parameter]:
    """What the default selection takes."""
    return [p for p in model.parameters() if p.ndim > 1]


def biases(model: nn.Module) -> list[nn.Parameter]:
    """What it leaves."""
    return [p for p in model.parameters() if p.ndim <= 1]


def plain(penalty: Penalty, tensors: Iterable[Tensor]) -> Tensor:
    """Σ R(w) as an ordinary graph: the oracle."""
    return torch.stack([penalty.value(w) for w in tensors]).sum()


def grads(model: nn.Module) -> list[Tensor | None]:
    """A copy of every gradient."""
    return [None if p.grad is None else p.grad.clone() for p in model.parameters()]


def state(model: nn.Module) -> list[Tensor]:
    """A copy of every parameter."""
    return [p.detach().clone() for p in model.parameters()]


def close(
    found: Iterable[Tensor | None],
    expected: Iterable[Tensor | None],
    rtol: float = 1e-12,
    atol: float = 1e-14,
) -> bool:
    """Whether two lists of tensors agree, None only beside None."""
    pairs = list(zip(found, expected, strict=True))
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and torch.allclose(a, b, rtol=rtol, atol=atol))
        for a, b in pairs
    )


def equal(found: Iterable[Tensor], expected: Iterable[Tensor]) -> bool:
    """Whether two lists of tensors are the same bits."""
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def steps(
    model: nn.Module, optimizer: Optimizer, count: int, more: Callable[[], Tensor | float] = lambda: 0.0
) -> None:
    """Train: one batch a step, with a further term where given."""
    dtype = next(model.parameters()).dtype
    for k in range(count):
        optimizer.zero_grad()
        (data_loss(model, k, dtype) + more()).backward()
        optimizer.step()


Build = Callable[[Any], Optimizer]
OPTIMIZERS: dict[str, Build] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "SGD foreach": lambda p: torch.optim.SGD(p, lr=0.1, foreach=True),
    "SGD fused": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
    "SGD momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "SGD dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3),
    "SGD nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "Adam for-loop": lambda p: torch.optim.Adam(p, lr=0.01, foreach=False),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "Adam amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
    "AdamW fused": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0, fused=True),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "RAdam": lambda p: torch.optim.RAdam(p, lr=0.01),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.01),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05),
    "Adagrad fused": lambda p: torch.optim.Adagrad(p, lr=0.05, fused=True),
    "Adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "RMSprop momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "RMSprop centered": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    "Rprop": lambda p: torch.optim.Rprop(p, lr=0.01),
    "ASGD": lambda p: torch.optim.ASGD(p, lr=0.05, lambd=0.0),
    "Adafactor": lambda p: torch.optim.Adafactor(p, lr=0.01, weight_decay=0.0),
}
