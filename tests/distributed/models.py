"""A small model, its shards, and its training with and without them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from tests.distributed.worlds import World


def network(dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Weights of 7×5, 4×7 and 1×4: none splits evenly over 3, and some processes hold no row at all."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 4), nn.Tanh(), nn.Linear(4, 1)).to(
            dtype
        )


def sharded(mesh: DeviceMesh, dtype: torch.dtype = torch.float64, **policy: Any) -> nn.Sequential:
    """The same under fully_shard; after a forward pass the root's own layer, the last, stays gathered."""
    return shard(network(dtype), mesh, **policy)


def shard(model: nn.Sequential, mesh: DeviceMesh, **policy: Any) -> nn.Sequential:
    """Shard a network in place."""
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh, **policy)
    fully_shard(model, mesh=mesh, **policy)
    return model


def batch(step: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Twelve samples, which 2, 3 and 4 processes share evenly."""
    g = torch.Generator().manual_seed(step)
    return torch.randn(12, 5, generator=g).to(dtype), torch.randn(12, 1, generator=g).to(dtype)


def data_loss(
    model: Callable[[Tensor], Tensor], world: World | None, step: int = 0, micro: int = 1
) -> list[Tensor]:
    """The squared error of each micro-batch, of all samples or of this process's share."""
    x, y = batch(step)
    if world is not None:
        share = len(x) // world.size
        x, y = (t[world.rank * share : (world.rank + 1) * share] for t in (x, y))
    pairs = zip(x.chunk(micro), y.chunk(micro), strict=True)
    return [nn.functional.mse_loss(model(a), b) / micro for a, b in pairs]


def train(
    model: nn.Module,
    optimizer: Optimizer,
    world: World | None,
    more: Callable[[], Tensor | float] = lambda: 0.0,
    steps: int = 5,
) -> None:
    """A few steps; every process sees its share of the batches that one process sees whole."""
    for k in range(steps):
        optimizer.zero_grad()
        (data_loss(model, world, k)[0] + more()).backward()
        optimizer.step()


def weight(model: nn.Module, name: str) -> nn.Parameter:
    """A parameter by its name."""
    return dict(model.named_parameters())[name]


def own_shard(t: Tensor) -> Tensor:
    """What this process holds; a plain tensor is its own."""
    return t.to_local() if isinstance(t, DTensor) else t


def whole(t: Tensor) -> Tensor:
    """The tensor with all its shards, without a graph."""
    return (t.full_tensor() if isinstance(t, DTensor) else t).detach().clone()


def wholes(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Each with all its shards."""
    return [whole(t) for t in tensors]


def grads(model: nn.Module) -> list[Tensor]:
    """Every gradient, with all its shards; zeros where there is none."""
    return [
        torch.zeros(p.shape, dtype=p.dtype) if p.grad is None else whole(p.grad) for p in model.parameters()
    ]


def close(
    found: Sequence[Tensor], expected: Sequence[Tensor], rtol: float = 1e-11, atol: float = 1e-13
) -> bool:
    """Whether two lists of whole tensors agree."""
    return len(found) == len(expected) and all(
        a.shape == b.shape and torch.allclose(a, b, rtol=rtol, atol=atol)
        for a, b in zip(found, expected, strict=True)
    )
