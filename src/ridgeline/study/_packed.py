"""A pack of a study: trained from its start or its checkpoint, saved every so often, halved when memory runs out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ridgeline.errors import RidgelineError, reason
from ridgeline.lanes import (
    Checkpoint,
    ForeignCheckpointError,
    Outcome,
    Pack,
    Products,
    Program,
    checkpoint_of,
    run_pack,
)
from ridgeline.store import DamagedError
from ridgeline.study._checkpoints import (
    Keeper,
    check_maker,
    checkpoints_dir,
    made_by,
    name_of,
    not_used,
    read_checkpoint,
)
from ridgeline.study._memory import give_back, out_of_memory
from ridgeline.study._packs import Unit
from ridgeline.study._trials import Trial

# One lane alone rounds otherwise, so a pack of one is in truth a pair.
_FEWEST = 2


@dataclass(frozen=True)
class Surroundings:
    """Where a pack trains, and who is told.

    Attributes:
        save_every_s: seconds between two checkpoints.
        on_steps: told of updates made.
        say: told of what a person should know, in a sentence.
    """

    run: Path
    device: torch.device
    products: Products
    save_every_s: float
    on_steps: Callable[[int], None]
    say: Callable[[str], None]


def train_packed(
    unit: Unit,
    programs: dict[str, Program],
    data: dict[str, str],
    around: Surroundings,
    halved: str = "",
) -> Iterator[tuple[Trial, Outcome, str]]:
    """Train a pack; yields each trial with its outcome as soon as its lane has left.

    Where memory runs out, the lanes that have not left go on as two packs of half as many each, from the last
    checkpoint. A lane's results do not depend on the number of lanes, but for rounding under vmap.

    Args:
        programs, data: by trial id; a hash of its examples, which a checkpoint must have been trained on.
        halved: why the pack is smaller than planned, which is yielded beside each outcome.

    Raises:
        RidgelineError: where memory runs out with two lanes.
    """
    ids = [trial.trial_id for trial in unit.trials]
    keeper = Keeper(
        around.run,
        name_of(ids),
        made_by(unit.rule, around.products, around.device.type),
        around.say,
        around.save_every_s,
        unit.begun,
    )
    if not unit.begun:
        keeper.mark(ids)
    waiting = {trial.trial_id: trial for trial in unit.trials}
    try:
        for place, outcome in _outcomes(unit, [programs[i] for i in ids], ids, data, keeper, around):
            trial = waiting.pop(ids[place])
            if trial.trial_id not in unit.done:
                yield trial, outcome, halved
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        if len(waiting) <= _FEWEST:
            raise RidgelineError(
                f"memory ran out while training {unit.label} ({reason(error)}), in a pack that cannot be smaller; "
                f"choose a smaller batch_size or model, or --engine solo into another --out. What was done is kept."
            ) from None
    # The pack is gone only now, with the exception that held it.
    if waiting:
        give_back(around.device)
        why = f"memory ran out with {len(waiting)} lanes"
        rest = tuple(trial for trial in waiting.values() if trial.trial_id not in unit.done)
        middle = -(-len(rest) // 2)
        sizes = f"packs of {middle} and {len(rest) - middle} lanes" if len(rest) > 1 else "a smaller pack"
        around.say(
            f"{why} while training {unit.label}: they go on as {sizes}; the results are the same, under vmap up "
            f"to rounding."
        )
        for half in filter(None, (rest[:middle], rest[middle:])):
            smaller = replace(unit, trials=half, begun=keeper.latest, done=frozenset())
            yield from train_packed(smaller, programs, data, around, why)
    keeper.remove()


def _outcomes(
    unit: Unit,
    programs: list[Program],
    ids: list[str],
    data: dict[str, str],
    keeper: Keeper,
    around: Surroundings,
) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of one pack by their places, from its checkpoint where that is of use."""

    def save(pack: Pack) -> None:
        if pack.lanes and pack.step < pack.training.steps and keeper.due:
            found = checkpoint_of(pack, ids)
            keeper.write(replace(found, facts={**found.facts, "data": [data[lane] for lane in found.lanes]}))

    def run(begun: Checkpoint | None) -> Iterator[tuple[int, Outcome]]:
        start = None if begun is None else (begun, ids)
        return run_pack(
            programs, around.device, around.on_steps, unit.rule or None, begun=start, after_update=save
        )

    path = checkpoints_dir(around.run) / unit.begun
    if unit.begun:
        try:
            begun = _read(path, keeper, data)
            pack = run(begun if begun.step else None)
            del begun  # its tensors are not held while the pack trains
            yield from pack
            return
        except (DamagedError, ForeignCheckpointError) as error:
            around.say(not_used(path, error, "their start"))
            keeper.latest = ""
    yield from run(None)


def _read(path: Path, keeper: Keeper, data: dict[str, str]) -> Checkpoint:
    checkpoint = read_checkpoint(path)
    check_maker(checkpoint, keeper.made_by)
    for lane, there in zip(checkpoint.lanes, checkpoint.facts.get("data", ()), strict=False):
        if data.get(lane, there) != there:
            raise ForeignCheckpointError(f"the data of trial {lane} are others than when it was written")
    return checkpoint
