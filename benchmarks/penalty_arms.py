"""The arms of the step benchmarks: one training step of each way to penalise a model."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import ridgeline as rl
from ridgeline.penalties import Penalty

Step = Callable[[Tensor, Tensor], float]
Maker = Callable[[nn.Module], Step]


@dataclass(frozen=True)
class Arm:
    """A way to penalise: its name, what makes its step, and the ratios to reach."""

    name: str
    make: Maker
    must: float | None = None
    aim: float | None = None


def wide_mlp() -> nn.Module:
    """784-1500-1000-500-10, ReLU."""
    return nn.Sequential(
        *(nn.Linear(784, 1500), nn.ReLU(), nn.Linear(1500, 1000), nn.ReLU()),
        *(nn.Linear(1000, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


def adam(model: nn.Module, weight_decay: float = 0.0) -> torch.optim.Adam:
    """Fused Adam, as every arm uses it."""
    return torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=weight_decay, fused=True)


def plain(model: nn.Module) -> Step:
    """No penalty."""
    optimizer = adam(model)

    def step(x: Tensor, y: Tensor) -> float:
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return step


def in_loss(penalty: Penalty) -> Maker:
    """reg.penalty() added to the loss, its value read every step."""

    def make(model: nn.Module) -> Step:
        optimizer = adam(model)
        reg = rl.regularize(model, penalty, optimizer=optimizer)

        def step(x: Tensor, y: Tensor) -> float:
            term = reg.penalty()
            loss = nn.functional.cross_entropy(model(x), y) + term
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach()) + float(term.detach())

        return step

    return make


def in_step(penalty: Penalty, mode: str, everywhere: bool = False) -> Maker:
    """A mode that acts in optimizer.step(), the value read every step.

    Args:
        everywhere: penalise biases too, so that the rule covers the whole group and L2 runs natively.
    """

    def make(model: nn.Module) -> Step:
        optimizer = adam(model)
        rules: Penalty | list[rl.Rule] = [rl.Rule("*", penalty)] if everywhere else penalty
        reg = rl.regularize(model, rules, optimizer=optimizer, mode=mode)  # type: ignore[arg-type]  # a Mode

        def step(x: Tensor, y: Tensor) -> float:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach()) + float(reg.penalty())

        return step

    return make


def by_autograd(value: Callable[[Tensor], Tensor]) -> Maker:
    """What tutorials write: a sum over parameters in the loss, through autograd."""

    def make(model: nn.Module) -> Step:
        optimizer = adam(model)
        weights = [p for name, p in model.named_parameters() if "weight" in name]

        def step(x: Tensor, y: Tensor) -> float:
            term = torch.stack([value(w) for w in weights]).sum()
            loss = nn.functional.cross_entropy(model(x), y) + term
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.detach()) + float(term.detach())

        return step

    return make


STRENGTH = 1e-5

ARMS = [
    Arm("base again", plain),
    Arm("L2 coupled, native", in_step(rl.L2(STRENGTH), "coupled", everywhere=True), 1.05, 1.02),
    Arm("L2 coupled, by hook", in_step(rl.L2(STRENGTH), "coupled"), 1.10, 1.05),
    Arm("L2 decoupled", in_step(rl.L2(STRENGTH), "decoupled"), 1.06, 1.03),
    Arm("L1 coupled", in_step(rl.L1(STRENGTH), "coupled"), 1.25, 1.10),
    Arm("elastic net coupled", in_step(rl.ElasticNet(STRENGTH, 0.5), "coupled"), 1.25, 1.10),
    Arm("proximal L1", in_step(rl.L1(STRENGTH), "proximal"), 1.18, 1.10),
    Arm("GroupLasso coupled", in_step(rl.GroupLasso(STRENGTH), "coupled"), 1.20, 1.12),
    Arm("L2 in the loss", in_loss(rl.L2(STRENGTH)), 1.20, 1.08),
    Arm("L1 in the loss", in_loss(rl.L1(STRENGTH)), 1.40, 1.15),
    Arm("autograd Σw²", by_autograd(lambda w: 0.5 * STRENGTH * w.square().sum())),
    Arm("autograd Σ|w|", by_autograd(lambda w: STRENGTH * w.abs().sum())),
    Arm("published object λΣ‖w‖", by_autograd(lambda w: STRENGTH * torch.norm(w, p=2))),
]
