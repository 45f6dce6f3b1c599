"""Mode "loss" in the loops that people write under fully_shard: clipping, accumulation, mixed precision."""

from typing import Any
from unittest import mock

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor

import ridgeline
from ridgeline import L1, L2, GroupLasso, MaxNorm, Norm, Nuclear, Rule
from ridgeline.penalties import Penalty
from tests.distributed.models import batch, close, data_loss, grads, network, sharded, whole
from tests.distributed.worlds import World, check

PENALTY: Penalty = L1(0.2) + GroupLasso(0.3, dim=1)


def oracle(scale: float = 1.0) -> nn.Sequential:
    """One process after one backward pass of plain autograd over all samples."""
    model = network()
    weights = [p for p in model.parameters() if p.ndim > 1]
    penalty = torch.stack([PENALTY.value(w) for w in weights]).sum()
    ((data_loss(model, None)[0] + penalty) * scale).backward()
    return model


@check(2, 3)
def penalty_counts_once_beside_averaged_data(world: World) -> None:
    """Read before the forward pass, and after it, when the root's own layer is still gathered."""
    model = sharded(world.mesh)
    reg = ridgeline.regularize(model, PENALTY)
    for early in (True, False):
        model.zero_grad()
        before = reg.penalty() if early else None
        loss = data_loss(model, world)[0]
        world.require(type(model[4].weight.data) is Tensor, "the last layer is gathered now")
        world.require(reg.terms().keys() == {"0.weight", "2.weight", "4.weight"}, "terms while gathered")
        world.require(len(reg.audit().rows) == 6, "audit while gathered")
        ((loss + (reg.penalty() if before is None else before)) * 8).backward()
        world.require(close(grads(model), grads(oracle(8.0))), f"early={early}")


@check(2, 3)
def clipping_sees_the_penalty(world: World) -> None:
    model, twin = sharded(world.mesh), oracle()
    reg = ridgeline.regularize(model, PENALTY)
    (data_loss(model, world)[0] + reg.penalty()).backward()
    norms = [nn.utils.clip_grad_norm_(m.parameters(), 0.1) for m in (model, twin)]
    world.require(close([whole(norms[0])], [whole(norms[1])]), "norm before")
    world.require(close(grads(model), grads(twin)), "clipped")


@check(2, 3)
def accumulation(world: World) -> None:
    """With the gradients of each micro-batch reduced, and with those of the last one only."""
    for synchronised in (True, False):
        model: Any = sharded(world.mesh)
        reg = ridgeline.regularize(model, PENALTY)
        x, y = batch()
        mine = slice(world.rank * 12 // world.size, (world.rank + 1) * 12 // world.size)
        for k, (a, b) in enumerate(zip(x[mine].chunk(2), y[mine].chunk(2), strict=True)):
            model.set_requires_gradient_sync(synchronised or k == 1)
            (nn.functional.mse_loss(model(a), b) / 2 + reg.penalty() / 2).backward()
        world.require(close(grads(model), grads(oracle())), f"synchronised={synchronised}")


@check(2, 3)
def mixed_precision(world: World) -> None:
    """The passes compute in bfloat16; the penalty knows the float32 shards."""
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    model = sharded(world.mesh, torch.float32, mp_policy=policy)
    reg = ridgeline.regularize(model, PENALTY)
    x, y = batch(dtype=torch.float32)
    expected = network(torch.float32)
    value = torch.stack([PENALTY.value(p) for p in expected.parameters() if p.ndim > 1]).sum()
    value.backward()
    found = []
    for penalised in (False, True):
        model.zero_grad()
        loss = nn.functional.mse_loss(model(x).float(), y)
        (loss + reg.penalty() if penalised else loss).backward()
        found.append(grads(model))
    world.require(torch.allclose(reg.penalty(), value, rtol=1e-6), "value")
    world.require(reg.penalty().dtype == torch.float32, "dtype")
    change = [b - a for a, b in zip(*found, strict=True)]
    world.require(close(change, grads(expected), rtol=1e-5, atol=1e-6), "the penalty's gradient is float32's")


@check(2, 3)
def some_layers_sharded(world: World) -> None:
    """Plain parameters beside sharded ones; a person averages the gradients of the plain ones."""
    model = network()
    fully_shard(model[0], mesh=world.mesh)
    reg = ridgeline.regularize(model, PENALTY)
    (data_loss(model, world)[0]).backward()
    for layer in (model[2], model[4]):
        for p in layer.parameters():
            assert p.grad is not None
            dist.all_reduce(p.grad)
            p.grad /= world.size
    reg.penalty().backward()
    world.require(close(grads(model), grads(oracle())), "gradients")


@check(2, 3)
def one_all_reduce_for_everything(world: World) -> None:
    """All kinds of penalty, in the loss and beside it; and none in the backward pass."""
    model = sharded(world.mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rules = [
        Rule("0.weight", L1(0.1, reduction="mean") + GroupLasso(0.1, dim=1)),
        Rule("2.weight", Norm(0.1) + MaxNorm(1.0, dim=1) + Nuclear(0.2)),
        Rule("4.weight", L2(0.1), mode="coupled"),
    ]
    reg = ridgeline.regularize(model, rules, optimizer=optimizer)
    with mock.patch.object(dist, "all_reduce", wraps=dist.all_reduce) as reduced:
        found = reg.penalty()
        world.require(reduced.call_count == 1, f"{reduced.call_count} all-reduces for the value")
        found.backward()
        world.require(
            reduced.call_count == 2, "one more for the last requirement, none for the backward pass"
        )
    reg.remove()


class Two(nn.Module):
    """Two tensors placed by hand."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(a), nn.Parameter(b)


@check(2, 3)
def other_placements(world: World) -> None:
    """Columns split unevenly, and replicas: neither comes from fully_shard."""
    g = torch.Generator().manual_seed(0)
    plain = Two(torch.randn(7, 5, generator=g).double(), torch.randn(3, 4, generator=g).double())
    placed = Two(
        distribute_tensor(plain.a.detach(), world.mesh, [Shard(1)]),
        distribute_tensor(plain.b.detach(), world.mesh, [Replicate()]),
    )
    for penalty in (
        L1(0.3, reduction="mean"),
        GroupLasso(0.3, 0),
        GroupLasso(0.3, 1),
        Norm(0.3),
        Nuclear(0.3),
    ):
        for model in (plain, placed):
            model.zero_grad()
        value = torch.stack([penalty.value(p) for p in plain.parameters()]).sum()
        value.backward()
        reg = ridgeline.regularize(placed, [Rule("*", penalty)])
        found = reg.penalty()
        found.backward()
        world.require(torch.allclose(found, value), f"{penalty}")
        world.require(close(grads(placed), grads(plain)), f"{penalty}: gradients")
        reg.remove()
