"""The arms of the step benchmarks: one training step of each way to penalise a model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import ridgeline as rl
from ridgeline.penalties import Penalty
from ridgeline.select import Mode

Step = Callable[[Tensor, Tensor], float]
Maker = Callable[[nn.Module], Step]


@dataclass(frozen=True)
class Arm:
    """A way to penalise: its name, what makes its step, the ratios to reach, and what it is compared with."""

    name: str
    make: Maker
    must: float | None = None
    aim: float | None = None
    base: Maker = field(default_factory=lambda: plain)


def wide_mlp() -> nn.Module:
    """784-1500-1000-500-10, ReLU."""
    return nn.Sequential(
        *(nn.Linear(784, 1500), nn.ReLU(), nn.Linear(1500, 1000), nn.ReLU()),
        *(nn.Linear(1000, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def adam(model: nn.Module, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Fused Adam, as every arm uses it."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=weight_decay, fused=True)


def training(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    in_loss: Callable[[], Tensor] | None = None,
    beside: Callable[[], Tensor] | None = None,
) -> Step:
    """An ordinary training step; the penalty's value is read every step, in the loss or beside it.

    Either way it is that of the weights which gave the loss.
    """

    def step(x: Tensor, y: Tensor) -> float:
        loss = nn.functional.cross_entropy(model(x), y)
        term = None if in_loss is None else in_loss()
        shown = term if beside is None else beside()
        loss = loss if term is None else loss + term
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach()) + (0.0 if shown is None else float(shown.detach()))

    return step


def plain(model: nn.Module) -> Step:
    """No penalty."""
    return training(model, adam(model))


def in_loss(penalty: Penalty, compile: bool = False) -> Maker:  # noqa: A002 - as in regularize
    """reg.penalty() added to the loss."""

    def make(model: nn.Module) -> Step:
        optimizer = adam(model)
        reg = rl.regularize(model, penalty, optimizer=optimizer, compile=compile)
        return training(model, optimizer, reg.penalty)

    return make


def in_step(penalty: Penalty, mode: Mode, everywhere: bool = False, **settings: Any) -> Maker:
    """A mode that acts in optimizer.step().

    Args:
        everywhere: penalise biases too, so that the rule covers the whole group.
        settings: of regularize().
    """

    def make(model: nn.Module) -> Step:
        optimizer = adam(model)
        rules: Penalty | list[rl.Rule] = [rl.Rule("*", penalty)] if everywhere else penalty
        reg = rl.regularize(model, rules, optimizer=optimizer, mode=mode, **settings)
        return training(model, optimizer, beside=reg.penalty)

    return make


def by_autograd(value: Callable[[Tensor], Tensor]) -> Maker:
    """What tutorials write: a sum over parameters in the loss, through autograd."""

    def make(model: nn.Module) -> Step:
        weights = [p for name, p in model.named_parameters() if "weight" in name]
        return training(model, adam(model), lambda: torch.stack([value(w) for w in weights]).sum())

    return make


STRENGTH = 1e-5

ARMS = [
    Arm("base again", plain),
    Arm("L2 coupled, whole group", in_step(rl.L2(STRENGTH), "coupled", everywhere=True), 1.05, 1.02),
    Arm("L2 coupled, weights only", in_step(rl.L2(STRENGTH), "coupled"), 1.10, 1.05),
    Arm("L2 decoupled", in_step(rl.L2(STRENGTH), "decoupled"), 1.06, 1.03),
    Arm("L1 coupled", in_step(rl.L1(STRENGTH), "coupled"), 1.25, 1.10),
    Arm("L1 coupled, compiled", in_step(rl.L1(STRENGTH), "coupled", compile=True), 1.25, 1.10),
    Arm("elastic net coupled", in_step(rl.ElasticNet(STRENGTH, 0.5), "coupled"), 1.25, 1.10),
    Arm(
        "elastic net coupled, compiled",
        in_step(rl.ElasticNet(STRENGTH, 0.5), "coupled", compile=True),
        *(1.25, 1.10),
    ),
    Arm("proximal L1, Euclidean", in_step(rl.L1(STRENGTH), "proximal", metric="euclidean"), 1.18, 1.10),
    Arm("proximal L1, Adam's metric", in_step(rl.L1(STRENGTH), "proximal"), 1.18, 1.10),
    Arm("proximal L1, Adam's, compiled", in_step(rl.L1(STRENGTH), "proximal", compile=True), 1.18, 1.10),
    Arm("GroupLasso coupled", in_step(rl.GroupLasso(STRENGTH), "coupled"), 1.20, 1.12),
    Arm("L2 in the loss", in_loss(rl.L2(STRENGTH)), 1.20, 1.08),
    Arm("L1 in the loss", in_loss(rl.L1(STRENGTH)), 1.40, 1.15),
    Arm("L1 in the loss, compiled", in_loss(rl.L1(STRENGTH), compile=True), 1.40, 1.15),
    Arm("autograd Σw²", by_autograd(lambda w: 0.5 * STRENGTH * w.square().sum())),
    Arm("autograd Σ|w|", by_autograd(lambda w: STRENGTH * w.abs().sum())),
    Arm("published object λΣ‖w‖", by_autograd(lambda w: STRENGTH * torch.norm(w, p=2))),
]
