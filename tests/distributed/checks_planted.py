"""Planted bugs: each must be caught by the check named beside it, on every process."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

from torch import Tensor

from ridgeline.penalties import L2, Penalty
from ridgeline.regularizer import (
    _acting,
    _audit,
    _data_gradients,
    _effect,
    _forgotten,
    _in_loss,
    _regularizer,
    _sharded,
    _sharded_prox,
    _stand_in,
    _step,
    _term,
)
from ridgeline.select import Mode
from tests.distributed import checks_binding as binding
from tests.distributed import checks_checkpoint as checkpoint
from tests.distributed import checks_ddp as ddp
from tests.distributed import checks_loop as loop
from tests.distributed import checks_mesh as mesh
from tests.distributed import checks_reading as reading
from tests.distributed.checks_training import OPTIMIZERS, trained_alike
from tests.distributed.checks_value import PENALTIES, equals_the_unsharded
from tests.distributed.worlds import Check, World, check


class Plant(NamedTuple):
    """Names that are exchanged, the bug put in their place, and the check that catches it."""

    where: Sequence[tuple[object, str]]
    bug: Any
    caught_by: Check


def left_out(parts: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """No all-reduce."""
    return [numbers for numbers, _ in parts]


ON_SHARD, SPLIT_DIMS = _stand_in.on_shard, _sharded.split_dims


def mean_of_shard(penalty: Penalty, w: Tensor) -> Penalty:
    found = ON_SHARD(penalty, w)
    if not isinstance(penalty, L2) or not isinstance(found, L2) or penalty.reduction == "sum":
        return found
    assert isinstance(found.strength, float)
    return replace(found, strength=found.strength * w.numel() / max(_sharded.local(w).numel(), 1))


def averaged_too(later: Any, upstream: Tensor, compiled: Any) -> None:
    """The penalty's gradient goes where the wrapper's average takes it."""
    for penalty, w in later:
        w.grad = _in_loss._ordinary(penalty, w, upstream) if w.grad is None else w.grad


def once_a_pass(parts: Any) -> list[Tensor]:
    """An all-reduce for each number."""
    return [total for part in parts for total in SUMMED([part])]


def split_everywhere(w: Any) -> dict[int, int]:
    """Replicas taken for shards."""
    dims = SPLIT_DIMS(w)
    return dict.fromkeys(range(w.device_mesh.ndim), 0) | dims if dims else dims


def as_it_lies(penalty: Penalty, w: Any) -> Any:
    """No other layout, where each process holds a row at least: an error of one alone would break the world."""
    return None if len(w) > 4 else LAYOUT(penalty, w)


SUMMED, LAYOUT = _sharded.summed, _sharded_prox._layout


def value(name: str) -> Check:
    return partial(equals_the_unsharded, name)


def after_steps(mode: Mode, name: str, by: str) -> Check:
    return partial(trained_alike, mode, PENALTIES[name], OPTIMIZERS[by])


PLANTS: dict[str, Plant] = {
    "a value of one shard": Plant([(_stand_in, "summed")], left_out, value("L1")),
    "an all-reduce a parameter": Plant(
        [(_stand_in, "summed")], once_a_pass, loop.one_all_reduce_for_everything
    ),
    "a mean over one shard": Plant([(_stand_in, "on_shard")], mean_of_shard, value("L2-mean")),
    "group norms of one shard": Plant([(_stand_in, "_reach")], lambda *_: "shard", value("GroupLasso-1")),
    "singular values of one shard": Plant([(_stand_in, "_reach")], lambda *_: "shard", value("Nuclear")),
    "group norms of one shard in the step": Plant(
        [(_stand_in, "_reach")], lambda *_: "shard", after_steps("decoupled", "GroupLasso-1", "Adam foreach")
    ),
    "a prox of one shard": Plant(
        [(_sharded_prox, "_layout")], as_it_lies, after_steps("proximal", "GroupLasso-1", "Adam foreach")
    ),
    "a projection of one shard": Plant(
        [(_sharded_prox, "_layout")], as_it_lies, after_steps("coupled", "MaxNorm-1", "SGD momentum")
    ),
    "the gathered copy penalised": Plant(
        [(_term, "gathered")], lambda *_: False, loop.penalty_counts_once_beside_averaged_data
    ),
    "the penalty averaged over processes": Plant(
        [(_in_loss, "_add_after_pass")], averaged_too, loop.penalty_counts_once_beside_averaged_data
    ),
    "zeros of one shard": Plant([(_regularizer, "summed")], left_out, reading.log_and_audit_count_the_whole),
    "denormals of one shard": Plant([(_audit, "summed")], left_out, reading.log_and_audit_count_the_whole),
    "effect's norms of one shard": Plant(
        [(_effect, "summed")], left_out, reading.effect_is_the_unsharded_one
    ),
    "effect's data not seen": Plant(
        [(_data_gradients, "under_fsdp")], lambda *_: False, reading.effect_is_the_unsharded_one
    ),
    "effect of one process's data": Plant(
        [(_data_gradients, "_averaged")], lambda found, leaves, model: found, ddp.ddp_is_read_as_one_process
    ),
    "acting judged by one shard": Plant([(_acting, "summed")], left_out, reading.a_shard_without_rows_agrees),
    "sharding unnoticed": Plant(
        [(_term.Term, "sharded_since")], lambda *_: False, binding.sharding_after_regularizing_is_noticed
    ),
    "sharding unnoticed by the step": Plant(
        [(_term.Term, "sharded_since")],
        lambda *_: False,
        binding.an_optimizer_built_after_sharding_is_noticed,
    ),
    "the making of a state taken for training": Plant(
        [(_step, "fills_state"), (_forgotten, "fills_state")],
        lambda *_: False,
        checkpoint.making_an_optimizers_state_trains_nothing,
    ),
}


def caught(plant: Plant, world: World) -> None:
    """The check fails with the bug in place."""
    patches = [mock.patch.object(target, name, plant.bug) for target, name in plant.where]
    for patch in patches:
        patch.start()
    try:
        plant.caught_by(world)
    except (AssertionError, RuntimeError):
        return
    finally:
        mock.patch.stopall()
    raise AssertionError("the check holds with the bug in place")


for name, plant in PLANTS.items():
    check(3, name=f"caught[{name}]")(partial(caught, plant))

TWICE = Plant([(_sharded, "split_dims")], split_everywhere, mesh.replicas_of_shards_count_once)
check(4, name="caught[replicas that count twice]")(partial(caught, TWICE))
