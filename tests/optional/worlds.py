"""A small world to train in by hand and by a library: the same weights, the same batches, the same steps."""

import importlib
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

import ridgeline
from ridgeline.penalties import Penalty
from ridgeline.select import Mode

# One for each mode; L2 in the optimizer's kernel, L1 in hooks, schedules and references in the state.
PENALTIES: list[tuple[Mode, Penalty]] = [
    ("coupled", ridgeline.L2(0.3)),
    ("coupled", ridgeline.L1(0.1)),
    ("decoupled", ridgeline.L2(0.3)),
    ("independent", ridgeline.L2(0.01)),
    ("proximal", ridgeline.L1(0.1)),
]
each_penalty = pytest.mark.parametrize(
    ("mode", "penalty"), PENALTIES, ids=[f"{mode}-{type(p).__name__}" for mode, p in PENALTIES]
)


def momentum(parameters: Iterable[Tensor]) -> Optimizer:
    """Plain SGD would not tell coupled from decoupled."""
    return SGD(parameters, lr=0.05, momentum=0.9)


def adamw(parameters: Iterable[Tensor]) -> Optimizer:
    """Without its own decay, which would come on top."""
    return AdamW(parameters, lr=0.01, weight_decay=0.0)


each_optimizer = pytest.mark.parametrize("make", [momentum, adamw], ids=["momentum", "adamw"])
Make = Callable[[Iterable[Tensor]], Optimizer]


def library(name: str) -> Any:
    """The library, for a whole file of tests; they are skipped, with the reason, where it is missing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed: pip install --group peers", allow_module_level=True)


def network(seed: int = 0) -> nn.Sequential:
    """Two linear layers; the default selection takes their weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def samples(n: int = 32) -> tuple[Tensor, Tensor]:
    """Inputs and targets."""
    g = torch.Generator().manual_seed(0)
    return torch.randn(n, 4, generator=g), torch.randn(n, 3, generator=g)


def batches(size: int = 8) -> list[tuple[Tensor, Tensor]]:
    """An epoch, in the order it is trained."""
    x, y = samples()
    return list(zip(x.split(size), y.split(size), strict=True))


def by_hand(
    make: Make,
    penalty: Penalty | None,
    mode: Mode,
    *,
    epochs: int = 2,
    accumulate: int = 1,
    clip: float | None = None,
    schedule: Callable[[Optimizer], LRScheduler] | None = None,
    each_epoch: Callable[[nn.Module, Optimizer, ridgeline.Regularizer | None], Optimizer] | None = None,
) -> list[Tensor]:
    """The weights after an ordinary loop with `ridgeline.regularize`.

    Args:
        schedule: of the learning rate, by steps.
        each_epoch: called after each epoch; gives the optimizer to go on with.
    """
    model = network()
    optimizer = make(model.parameters())
    reg = None
    if penalty is not None:
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
    scheduler = None if schedule is None else schedule(optimizer)
    for _ in range(epochs):
        for place, (x, y) in enumerate(batches()):
            loss = F.mse_loss(model(x), y)
            if reg is not None and mode == "loss":
                loss = loss + reg.penalty()
            (loss / accumulate).backward()
            if (place + 1) % accumulate == 0:
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
                if scheduler is not None:
                    scheduler.step()
        if each_epoch is not None:
            optimizer = each_epoch(model, optimizer, reg)
    if reg is not None:
        reg.remove()
    return weights(model)


def weights(model: nn.Module) -> list[Tensor]:
    """A copy of every parameter."""
    return [p.detach().clone() for p in model.parameters()]


def same(found: Sequence[Tensor], expected: Sequence[Tensor], close: float = 0.0) -> bool:
    """Equal bit for bit, or within a distance."""
    return all(
        torch.equal(a, b) if close == 0 else torch.allclose(a, b, rtol=close, atol=close)
        for a, b in zip(found, expected, strict=True)
    )


def hooks(optimizer: Optimizer) -> int:
    """How many hooks stand around its step."""
    return len(optimizer._optimizer_step_pre_hooks) + len(optimizer._optimizer_step_post_hooks)
