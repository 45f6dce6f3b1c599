"""Meshes of two dimensions: replicas of shards (HSDP), tensors split twice, and tensor parallelism."""

from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Placement, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

import ridgeline
from ridgeline import L1, L2SP, GroupLasso, MaxNorm, Norm, Nuclear, Rule
from ridgeline.penalties import Penalty
from tests.distributed.checks_training import OPTIMIZERS
from tests.distributed.checks_value import PENALTIES, moved, unsharded
from tests.distributed.models import close, grads, network, shard, train, wholes
from tests.distributed.worlds import World, check


def grid(names: tuple[str, str]) -> DeviceMesh:
    return init_device_mesh("cpu", (2, 2), mesh_dim_names=names)


@check(4)
def replicas_of_shards_count_once(world: World) -> None:
    mesh = grid(("replicate", "shard"))
    for name in ("L1-mean", "L2SP", "GroupLasso-0", "GroupLasso-1", "Norm-3", "Nuclear"):
        value, expected = unsharded(PENALTIES[name])
        model = shard(network(), mesh)
        reg = ridgeline.regularize(model, PENALTIES[name])
        moved(model)
        found = reg.penalty()
        found.backward()
        world.require(torch.allclose(found, value, rtol=1e-13), f"{name}: {float(found.detach())}")
        world.require(world.equal_everywhere(found) and close(grads(model), expected), name)
        reg.remove()


@check(4)
def replicas_of_shards_train_alike(world: World) -> None:
    for mode, name in (("loss", "L1+GroupLasso-1"), ("decoupled", "Norm-2"), ("proximal", "L1+GroupLasso-1")):
        found = []
        for model, place in ((network(), None), (shard(network(), grid(("replicate", "shard"))), world)):
            optimizer = OPTIMIZERS["Adam foreach"](model.parameters())
            reg: Any = ridgeline.regularize(model, PENALTIES[name], optimizer=optimizer, mode=mode)  # type: ignore[arg-type]
            train(model, optimizer, place, reg.penalty if mode == "loss" else lambda: 0.0)
            found.append((wholes(model.parameters()), reg.log()))
            reg.remove()
        world.require(close(found[1][0], found[0][0], rtol=1e-9, atol=1e-11), f"{mode} {name}: weights")
        off = [abs(found[1][1][k] - found[0][1][k]) for k in found[0][1]]
        world.require(max(off) < 1e-9, f"{mode} {name}: the log")


LAYOUTS: list[list[Placement]] = [
    [Shard(0), Shard(1)],
    [Shard(1), Shard(0)],
    [Shard(0), Shard(0)],
    [Shard(1), Replicate()],
    [Replicate(), Replicate()],
]


class Several(nn.Module):
    """One weight for each layout."""

    def __init__(self, place: DeviceMesh | None) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(0)
        for k, layout in enumerate(LAYOUTS):
            w = torch.randn(5, 7, generator=g).double()
            setattr(self, f"w{k}", nn.Parameter(w if place is None else distribute_tensor(w, place, layout)))


@check(4)
def tensors_split_twice(world: World) -> None:
    """All layouts in one mesh, so that replicas must not count twice; gradients and proximal operators."""
    mesh = grid(("a", "b"))
    penalties: list[Penalty] = [
        L1(0.3, reduction="mean"),
        L2SP(0.3, torch.ones(5, 7, dtype=torch.float64)),
        GroupLasso(0.3, dim=0),
        GroupLasso(0.3, dim=1),
        Norm(0.3),
        Norm(0.3, p=3),
        Nuclear(0.3),
        L1(0.1) + MaxNorm(0.9, dim=1),
    ]
    for penalty in penalties:
        found = []
        for model in (Several(None), Several(mesh)):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, foreach=False)
            reg = ridgeline.regularize(model, [Rule("*", penalty)], optimizer=optimizer)
            value = reg.penalty()
            value.backward()
            slopes = grads(model)
            reg.remove()
            if not isinstance(penalty, Norm) or penalty.p == 2:
                reg = ridgeline.regularize(model, [Rule("*", penalty)], optimizer=optimizer, mode="proximal")
                optimizer.step()
                reg.remove()
            found.append((value.detach(), slopes, wholes(model.parameters())))
        world.require(torch.allclose(found[1][0], found[0][0], rtol=1e-12), f"{penalty}: value")
        world.require(close(found[1][1], found[0][1]), f"{penalty}: gradients")
        world.require(close(found[1][2], found[0][2]), f"{penalty}: proximal")


def tensor_parallel(mesh: DeviceMesh) -> nn.Sequential:
    model = network()
    plan = {"0": ColwiseParallel(), "2": RowwiseParallel()}
    parallelize_module(model, mesh["tensor"], plan)
    for layer in (model[0], model[2]):
        fully_shard(layer, mesh=mesh["data"])
    return model


@check(4)
def tensor_parallelism_below_fully_shard(world: World) -> None:
    """Weights that both split along dim 0 are strided: a shard is no single range of rows."""
    mesh = grid(("data", "tensor"))
    for name in ("L1-mean", "L2SP", "GroupLasso-0", "GroupLasso-1", "Norm-2", "Nuclear"):
        penalty = PENALTIES[name]
        rules = [Rule("0.weight", penalty), Rule("2.weight", penalty)]
        found = []
        for model in (network(), tensor_parallel(mesh)):
            reg = ridgeline.regularize(model, rules)
            moved(model)
            value = reg.penalty()
            value.backward()
            found.append((value.detach(), grads(model)))
            reg.remove()
        world.require(torch.allclose(found[1][0], found[0][0], rtol=1e-12), f"{name}: value")
        world.require(close(found[1][1], found[0][1]), f"{name}: gradients")
