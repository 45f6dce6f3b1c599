"""What is read of a sharded model: the log, the audit, effect, response, assert_acting; equal everywhere."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

import ridgeline
from ridgeline import L1, L2, GroupLasso, Norm
from ridgeline.regularizer import Effect, Regularizer
from tests.distributed.checks_binding import said
from tests.distributed.models import close, data_loss, grads, network, own_shard, sharded, weight, wholes
from tests.distributed.worlds import World, check


def tell(world: World, told: Any) -> None:
    """All processes say the same."""
    seen: list[Any] = [None] * world.size
    torch.distributed.all_gather_object(seen, told)
    world.require(all(other == told for other in seen), f"{told}")


@check(2, 3)
def log_and_audit_count_the_whole(world: World) -> None:
    found = []
    for model in (network(), sharded(world.mesh)):
        with torch.no_grad():
            for p in model.parameters():
                local = own_shard(p)
                local.mul_(local.abs() > 0.2)
                local.add_((local == 0) * (local.new_tensor(5e-324)) * (p.ndim == 1))
        reg = ridgeline.regularize(model, GroupLasso(0.3, dim=1))
        found.append((reg.log(), reg.audit()))
    (log, audit), (there, table) = found
    tell(world, (there, table.rows))
    world.require(there.keys() == log.keys(), "keys")
    world.require(all(abs(there[k] - log[k]) < 1e-12 for k in log), f"{there}, not {log}")
    world.require(there["ridgeline/exact_zeros"] > 0, "there are zeros to count")
    keys = ("name", "shape", "elements", "denormals", "penalised", "strength")
    rows = [[{k: row[k] for k in keys} for row in a.rows] for a in (table, audit)]
    world.require(rows[0] == rows[1], f"{rows[0]}, not {rows[1]}")
    world.require(sum(row["denormals"] for row in rows[0]) > 0, "there are denormals to count")
    world.require((table.elements, table.title) == (audit.elements, audit.title), table.title)


def effects(
    model: nn.Module, world: World | None, mode: Any, build: Any
) -> tuple[Effect, Regularizer, Tensor]:
    optimizer = build(model.parameters())
    reg = ridgeline.regularize(model, GroupLasso(0.1, dim=1) + L1(0.01), optimizer=optimizer, mode=mode)
    loss = data_loss(model, world)[0]
    return reg.effect(loss), reg, loss


@check(2, 3)
def effect_is_the_unsharded_one(world: World) -> None:
    builds = (lambda p: torch.optim.Adam(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))
    for mode, build in zip(("loss", "proximal"), builds, strict=True):
        expected, _, _ = effects(network(), None, mode, build)
        model = sharded(world.mesh)
        found, reg, loss = effects(model, world, mode, build)
        tell(world, found.rows)
        same_effect(world, found, expected)
        world.require(all(p.grad is None for p in model.parameters()), "gradients stay")
        (loss + (reg.penalty() if mode == "loss" else 0.0)).backward()  # the graph was kept
        twin = network()
        (data_loss(twin, None)[0]).backward()
        if mode == "proximal":
            world.require(close(grads(model), grads(twin)), "the loss's own backward pass")
        reg.remove()


def same_effect(world: World, found: Effect, expected: Effect) -> None:
    for row, other in zip(found.rows, expected.rows, strict=True):
        for key in ("data_gradient", "penalty_gradient", "ratio", "share"):
            off = abs(row[key] - other[key]) / max(abs(other[key]), 1e-12)
            world.require(off < 1e-9, f"{row['name']} {key}: {row[key]}, not {other[key]}")
        world.require(row["verdict"] == other["verdict"], f"{row['name']}: {row['verdict']}")


def responses(model: nn.Module, world: World | None) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    reg = ridgeline.regularize(
        model,
        [ridgeline.Rule("0.*t", L2(0.1)), ridgeline.Rule("2.*t", Norm(0.1))],
        optimizer=optimizer,
        mode="coupled",
    )

    def step(k: int) -> None:
        optimizer.zero_grad()
        data_loss(model, world, k)[0].backward()
        optimizer.step()
        with torch.no_grad():
            data_loss(model, world, k)  # leaves the last layer gathered

    before = wholes(model.parameters())
    found = reg.response(step, [0.1, 1e-300], steps=2)
    for m in model.modules():
        if isinstance(m, FSDPModule):
            m.reshard()
    assert close(wholes(model.parameters()), before, rtol=0, atol=0)
    reg.remove()
    return found


@check(2, 3)
def response_is_the_unsharded_one(world: World) -> None:
    expected, found = responses(network(), None), responses(sharded(world.mesh), world)
    tell(world, [{k: v for k, v in row.items() if k != "elasticity"} for row in found.rows])
    world.require(found.overall == expected.overall, f"{found.overall}, not {expected.overall}")
    for row, other in zip(found.rows, expected.rows, strict=True):
        for key in ("by_data", "by_penalty", "share_without_data"):
            off = abs(row[key] - other[key])
            world.require(
                off <= 1e-9 * abs(other[key]) + 1e-13, f"{row['name']} {key}: {row[key]}, not {other[key]}"
            )


@check(2, 3)
def acting_is_asserted(world: World) -> None:
    model = sharded(world.mesh)
    reg = ridgeline.regularize(model, [ridgeline.Rule("4.weight", L1(0.1))])
    data_loss(model, world)  # leaves the last layer gathered
    ridgeline.assert_acting(reg.penalty(), model)
    ridgeline.assert_acting(lambda: weight(model, "0.weight").square().sum(), model)
    with torch.no_grad():
        weight(model, "4.weight").zero_()
    ridgeline.assert_acting(reg.penalty, model)  # after a small move
    world.require(bool((own_shard(weight(model, "4.weight")) == 0).all()), "moved back")
    for idle in (lambda: reg.penalty().detach(), lambda: 0.0 * reg.penalty()):
        world.require(
            "gradient" in said(partial(ridgeline.assert_acting, idle, model), AssertionError), "idle"
        )


@check(2, 3)
def a_shard_without_rows_agrees(world: World) -> None:
    """The penalty moves a row that one process holds; what the others find must not depend on theirs."""
    model = sharded(world.mesh)
    asked: list[int] = []

    def penalty() -> Tensor:  # of no other process is anything asked in it
        asked.append(1)
        return own_shard(weight(model, "4.weight")).sum()

    told = said(partial(ridgeline.assert_acting, penalty, model), AssertionError)
    tell(world, (told, len(asked)))
    world.require(told == "no refusal", told)
