"""torch.distributed.checkpoint: model, optimizer and regularizer together, in another number of processes too."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.optim import Optimizer

import ridgeline
from ridgeline import L1, L2SP, Rule
from ridgeline.integrations._shared import Kept, Waiting
from ridgeline.regularizer import Regularizer
from ridgeline.regularizer._sharded import is_sharded
from tests.distributed.models import close, network, sharded, train, wholes
from tests.distributed.worlds import World, check

SAVED, MORE = 3, 2


def prepared(model: nn.Module, mode: Any = "coupled", start: float = 1.0) -> tuple[Optimizer, Regularizer]:
    """With a schedule, whose clock counts, and references, which were taken at other weights."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    scheduled = ridgeline.schedules.linear(0.5, 0.0, 10)
    rules = [Rule("0.weight", L2SP(0.5)), Rule("*.weight", L1(scheduled))]
    reg = ridgeline.regularize(model, rules, optimizer=optimizer, mode=mode)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(start)
    return optimizer, reg


def state_of(model: nn.Module, optimizer: Optimizer, reg: Regularizer) -> dict[str, Any]:
    weights, moments = get_state_dict(model, optimizer)
    return {"model": weights, "optimizer": moments, "regularizer": reg.state_dict()}


def restored(model: nn.Module, folder: Path, world: World | None) -> list[Tensor]:
    """Weights and references after loading what two processes saved, and some more steps."""
    optimizer, reg = prepared(model, start=0.5)
    state = state_of(model, optimizer, reg)
    load(state, checkpoint_id=folder / "checkpoint", no_dist=world is None)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    reg.load_state_dict(state["regularizer"])
    train(model, optimizer, world, steps=MORE)
    found = wholes([*model.parameters(), *reg.state_dict()["references"].values(), reg.penalty()])
    reg.remove()
    return found


def uninterrupted() -> list[Tensor]:
    """What one process has after the steps before and after."""
    model = network()
    optimizer, reg = prepared(model, start=1.5)
    train(model, optimizer, None, steps=SAVED)
    train(model, optimizer, None, steps=MORE)
    found = wholes([*model.parameters(), *reg.state_dict()["references"].values(), reg.penalty()])
    reg.remove()
    return found


@check(2)
def a_checkpoint_is_saved(world: World) -> None:
    model = sharded(world.mesh)
    optimizer, reg = prepared(model, start=1.5)
    train(model, optimizer, world, steps=SAVED)
    save(state_of(model, optimizer, reg), checkpoint_id=world.folder / "checkpoint")
    world.require(
        close(restored(sharded(world.mesh), world.folder, world), uninterrupted(), rtol=1e-9), "two"
    )
    reg.remove()


@check(3)
def a_checkpoint_of_two_is_loaded_by_three(world: World) -> None:
    world.require(
        close(restored(sharded(world.mesh), world.folder, world), uninterrupted(), rtol=1e-9), "three"
    )


@check(2)
def a_regularizer_saves_itself(world: World) -> None:
    """As an object with a state, among others."""
    model = sharded(world.mesh)
    _, reg = prepared(model, start=1.5)
    reg._clock.step = 4
    save({"regularizer": reg}, checkpoint_id=world.folder / "alone")
    other = sharded(world.mesh)
    _, twin = prepared(other, start=0.5)
    with torch.no_grad():
        for w in twin.state_dict()["references"].values():
            w.mul_(7)
    load({"regularizer": twin}, checkpoint_id=world.folder / "alone")
    mine, its = (r.state_dict() for r in (reg, twin))
    world.require(its["clock"] == 4, "clock")
    world.require(
        close(wholes(its["references"].values()), wholes(mine["references"].values())), "references"
    )
    reg.remove()
    twin.remove()


@check(2, 3)
def a_file_of_one_process_serves_all(world: World) -> None:
    """As Lightning, Accelerate and the Trainer keep what is no model and no optimizer: the first process writes."""
    model = sharded(world.mesh)
    _, reg = prepared(model)
    callback = Waiting(L2SP(0.5), "coupled", "optimizer", False)
    callback.attach(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert callback.regularizer is not None
    for keeper, inside in ((Kept(reg), reg), (callback, callback.regularizer)):
        kept = wholes(inside.state_dict()["references"].values())
        state = keeper.state_dict()
        if world.rank == 0:
            torch.save(state, world.folder / f"one-{world.size}")
        dist.barrier()
        with torch.no_grad():
            for w in inside.state_dict()["references"].values():
                w.mul_(7)
        keeper.load_state_dict(torch.load(world.folder / f"one-{world.size}", weights_only=True))
        found = inside.state_dict()["references"].values()
        world.require(close(wholes(found), kept, rtol=0, atol=0), type(keeper).__name__)
        world.require(all(map(is_sharded, found)), "each process holds its shards again")
        dist.barrier()
    callback.detach()
    state = callback.state_dict()  # a checkpoint may be written after training
    world.require(close(list(state["references"].values()), kept, rtol=0, atol=0), "detached")
    reg.remove()


@check(2)
def making_an_optimizers_state_trains_nothing(world: World) -> None:
    """get_state_dict steps with gradients of zeros: no penalty acts, no clock ticks, nothing is forgotten."""
    for mode in ("loss", "coupled", "decoupled", "independent", "proximal"):
        model = sharded(world.mesh)
        optimizer, reg = prepared(model, mode)
        before = wholes(model.parameters())
        get_state_dict(model, optimizer)
        moments = [state["exp_avg"] for state in optimizer.state.values()]
        world.require(close(wholes(model.parameters()), before, rtol=0, atol=0), f"{mode}: weights")
        world.require(len(moments) == 6 and not any(m.any() for m in wholes(moments)), f"{mode}: moments")
        world.require(reg.state_dict()["clock"] == 0, f"{mode}: clock")
        reg.remove()
