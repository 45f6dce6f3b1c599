"""DistributedDataParallel: the value is local and equal everywhere, and its gradient counts once."""

from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import ridgeline
from tests.distributed.checks_loop import PENALTY, oracle
from tests.distributed.checks_reading import effects, responses, same_effect, tell
from tests.distributed.models import batch, close, data_loss, grads, network, train, wholes
from tests.distributed.worlds import World, check

FLAGS: list[dict[str, Any]] = [
    {},
    {"find_unused_parameters": True},
    {"gradient_as_bucket_view": True},
    {"static_graph": True},
    {"static_graph": True, "gradient_as_bucket_view": True},
]


def ddp(**flags: Any) -> DistributedDataParallel:
    return DistributedDataParallel(network(), **flags)


@check(2, 3)
def ddp_counts_the_penalty_once(world: World) -> None:
    for flags in FLAGS:
        model = ddp(**flags)
        reg = ridgeline.regularize(model, PENALTY)
        for _ in range(3):
            model.zero_grad()
            found = reg.penalty()
            world.require(world.equal_everywhere(found), "value")
            ((data_loss(model, world)[0] + found) * 4).backward()
            world.require(close(grads(model), grads(oracle(4.0))), f"{flags}")
        reg.remove()


@check(2, 3)
def ddp_accumulates(world: World) -> None:
    for flags in FLAGS[:3]:  # torch has no accumulation under static_graph
        model = ddp(**flags)
        reg = ridgeline.regularize(model, PENALTY)
        x, y = batch()
        mine = slice(world.rank * 12 // world.size, (world.rank + 1) * 12 // world.size)
        (a, b), (c, d) = zip(x[mine].chunk(2), y[mine].chunk(2), strict=True)
        for _ in range(2):
            model.zero_grad()
            with model.no_sync():
                (nn.functional.mse_loss(model(a), b) / 2 + reg.penalty() / 2).backward()
            (nn.functional.mse_loss(model(c), d) / 2 + reg.penalty() / 2).backward()
            world.require(close(grads(model), grads(oracle())), f"{flags}")
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        reg.remove()


@check(2)
def ddp_trains_as_one_process(world: World) -> None:
    for mode in ("loss", "coupled", "decoupled", "independent", "proximal"):
        found = []
        for model, place in ((network(), None), (ddp(), world)):
            optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
            reg = ridgeline.regularize(model, PENALTY, optimizer=optimizer, mode=mode)
            train(model, optimizer, place, reg.penalty if mode == "loss" else lambda: 0.0)
            found.append((wholes(model.parameters()), reg.log()))
            reg.remove()
        world.require(close(found[0][0], found[1][0], rtol=1e-9, atol=1e-11), mode)
        tell(world, found[1][1])


@check(2, 3)
def ddp_is_read_as_one_process(world: World) -> None:
    expected, _, _ = effects(network(), None, "loss", lambda p: torch.optim.Adam(p, lr=0.1))
    model = ddp()
    found, reg, loss = effects(model, world, "loss", lambda p: torch.optim.Adam(p, lr=0.1))
    tell(world, found.rows)
    same_effect(world, found, expected)
    ridgeline.assert_acting(reg.penalty(), model)
    (loss + reg.penalty()).backward()
    reg.remove()
    there, here = responses(network(), None), responses(ddp(), world)
    tell(world, here.overall)
    world.require(here.overall == there.overall, f"{here.overall}")
