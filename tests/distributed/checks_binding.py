"""What sharding exchanges under a regularizer is noticed, and what cannot be right is refused."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel, fully_shard
from torch.distributed.tensor import DTensor, Partial
from torch.nn.utils.parametrizations import weight_norm

import ridgeline
from ridgeline import L1, L2SP, Norm, Rule
from tests.distributed.checks_value import moved, unsharded
from tests.distributed.models import (
    close,
    data_loss,
    grads,
    network,
    own_shard,
    shard,
    sharded,
    train,
    weight,
    wholes,
)
from tests.distributed.worlds import World, check


def said(call: Callable[[], Any], *kinds: type[Exception]) -> str:
    """What a refusal says."""
    try:
        call()
    except kinds as error:
        return str(error)
    return "no refusal"


@check(2, 3)
def sharding_after_regularizing_is_noticed(world: World) -> None:
    model = network()
    reg = ridgeline.regularize(model, L1(0.3))
    shard(model, world.mesh)
    for passes in (False, True):
        if passes:
            data_loss(model, world)  # the last layer is gathered now
        for call in (reg.penalty, reg.terms, reg.log, reg.audit):
            told = said(call, RuntimeError)
            world.require("reg.bind(model, optimizer)" in told, f"{call.__name__}: {told}")
    reg.bind(model)
    moved(model)
    value, expected = unsharded(L1(0.3))
    found = reg.penalty()
    found.backward()
    world.require(torch.allclose(found, value) and close(grads(model), expected), "after bind")


@check(2, 3)
def an_optimizer_built_after_sharding_is_noticed(world: World) -> None:
    """Nobody reads the penalty: the step itself tells, once."""
    model, twin = network(), network()
    reg = ridgeline.regularize(
        model, L1(0.3), optimizer=torch.optim.SGD(model.parameters(), lr=0.1), mode="coupled"
    )
    shard(model, world.mesh)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data_loss(model, world)[0].backward()
    told = said(optimizer.step, RuntimeError)
    world.require("reg.bind(model, optimizer)" in told and "sharded" in told, told)
    reg.bind(model, optimizer)
    own = torch.optim.SGD(twin.parameters(), lr=0.1)
    other = ridgeline.regularize(twin, L1(0.3), optimizer=own, mode="coupled")
    train(model, optimizer, world)
    train(twin, own, None)
    world.require(close(wholes(model.parameters()), wholes(twin.parameters())), "after bind")
    reg.remove()
    other.remove()


@check(2, 3)
def references_from_before_and_after_sharding(world: World) -> None:
    """L2SP keeps the weights first attached; a mapping may be whole or sharded."""
    value, expected = unsharded(L2SP(0.3))
    pretrained = {name: p.detach() for name, p in network().named_parameters()}
    apart = {name: p.detach() for name, p in sharded(world.mesh).named_parameters()}
    first = network()
    kept = ridgeline.regularize(first, L2SP(0.3))
    kept.bind(shard(first, world.mesh))
    regs = [(first, kept)]
    for reference in (None, pretrained, apart):
        model = sharded(world.mesh)
        data_loss(model, world)
        regs.append((model, ridgeline.regularize(model, L2SP(0.3, reference))))
    for k, (model, reg) in enumerate(regs):
        moved(model)
        model.zero_grad()
        found = reg.penalty()
        found.backward()
        world.require(torch.allclose(found, value) and close(grads(model), expected), f"reference {k}")
        held = [own_shard(r).shape for r in reg.state_dict()["references"].values()]
        world.require(held == [own_shard(w).shape for w in model.parameters() if w.ndim > 1], "shards only")
    plain = network()
    back = ridgeline.regularize(plain, L2SP(0.3, apart))
    moved(plain)
    world.require(torch.allclose(back.penalty(), value), "sharded references of a plain model")


@check(2)
def refusals(world: World) -> None:
    regularize = ridgeline.regularize
    told = said(
        lambda: regularize(
            FullyShardedDataParallel(network().float(), device_id=torch.device("cpu"), use_orig_params=True),
            L1(0.3),
        ),
        ValueError,
    )
    world.require("fully_shard (FSDP2)" in told, told)
    parametrized = nn.Sequential(weight_norm(nn.Linear(4, 4)))
    fully_shard(parametrized, mesh=world.mesh)
    told = said(lambda: regularize(parametrized, L1(0.3)), ValueError)
    world.require("0.weight is parametrized" in told, told)
    model = sharded(world.mesh)
    told = said(lambda: regularize(model, L1(torch.tensor([0.1, 0.2]))), ValueError)
    world.require("one value a lane" in told, told)
    partial = nn.Linear(2, 2)
    partial.weight = nn.Parameter(DTensor.from_local(torch.ones(2, 2), world.mesh, [Partial()]))
    told = said(lambda: regularize(partial, [Rule("weight", L1(0.3))]), ValueError)
    world.require("Partial" in told, told)
    reg = regularize(model, L1(0.3))
    told = said(
        lambda: torch.autograd.grad(reg.penalty(), [weight(model, "0.weight")], create_graph=True),
        RuntimeError,
    )
    world.require("second derivative" in told, told)
    told = said(lambda: reg.audit(torch.zeros(2, 5)), ValueError)
    world.require("sharded" in told, told)
    weight(model, "0.weight").register_post_accumulate_grad_hook(lambda p: None)
    told = said(reg.penalty, RuntimeError)
    world.require("mode='coupled'" in told, told)


@check(2)
def a_compiled_loss_goes_on_outside(world: World) -> None:
    model = sharded(world.mesh)
    reg = ridgeline.regularize(model, Norm(0.3))

    @torch.compile(backend="eager")
    def doubled() -> torch.Tensor:
        return 2 * reg.penalty()

    world.require(torch.allclose(doubled(), 2 * reg.penalty()), "value")
