"""Reading in the middle of an accumulation, and where processes take different branches."""

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import ridgeline
from ridgeline import L1
from tests.distributed.models import close, data_loss, grads, sharded
from tests.distributed.worlds import World, check


@check(2)
def effect_is_refused_within_an_accumulation(world: World) -> None:
    model = sharded(world.mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="coupled")
    model.set_requires_gradient_sync(False)  # type: ignore[operator]  # fully_shard's
    first = data_loss(model, world, 0)[0]
    refused(world, reg, first)
    first.backward()
    model.set_requires_gradient_sync(True)  # type: ignore[operator]
    second = data_loss(model, world, 1)[0]
    refused(world, reg, second)
    second.backward()
    twin = sharded(world.mesh)
    sum(data_loss(twin, world, k)[0] for k in (0, 1)).backward()  # type: ignore[union-attr]
    world.require(close(grads(model), grads(twin)), "the accumulated gradients stay")
    reg.remove()


def refused(world: World, reg: ridgeline.Regularizer, loss: Tensor) -> None:
    try:
        reg.effect(loss)
    except ValueError as error:
        world.require("call it between two steps" in str(error), str(error))
    else:
        world.require(False, "effect ran")


class Branch(nn.Module):
    """Each process uses one of two layers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(5, 1).double(), nn.Linear(5, 1).double()

    def forward(self, x: Tensor, which: int) -> Tensor:
        found: Tensor = (self.a, self.b)[which % 2](x)
        return found


def branch_loss(model: nn.Module, rank: int) -> Tensor:
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(rank))
    found: Tensor = model(x, rank).square().mean()
    return found


@check(2, 3)
def effect_is_right_where_processes_take_different_branches(world: World) -> None:
    model = DistributedDataParallel(Branch(), find_unused_parameters=True)
    reg = ridgeline.regularize(model, L1(0.1))
    loss = branch_loss(model, world.rank)
    found = {row["name"]: row["data_gradient"] for row in reg.effect(loss).rows}
    twin = Branch()
    (sum(branch_loss(twin, rank) for rank in range(world.size)) / world.size).backward()  # type: ignore[union-attr]
    for name in ("a", "b"):
        truth = float(twin.get_parameter(f"{name}.weight").grad.norm())  # type: ignore[union-attr]
        world.require(abs(found[f"{name}.weight"] - truth) < 1e-9, f"{name}: {found}, not {truth}")
    loss.backward()
    reg.remove()


@check(2)
def response_is_refused_within_an_accumulation(world: World) -> None:
    model = sharded(world.mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="coupled")
    model.set_requires_gradient_sync(False)  # type: ignore[operator]
    data_loss(model, world, 0)[0].backward()
    try:
        reg.response(lambda k: optimizer.step())
    except ValueError as error:
        world.require("call it between two steps" in str(error), str(error))
    else:
        world.require(False, "response ran")
    reg.remove()
