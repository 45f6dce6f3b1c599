"""Training a trial or a pack of them and storing it: what every executor does."""

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from ridgeline.data import Data
from ridgeline.errors import RidgelineError, reason
from ridgeline.lanes import NotStackableError, Outcome, Products, Program, products, train
from ridgeline.store import provenance, write_part
from ridgeline.study._packed import Surroundings, train_packed
from ridgeline.study._packs import Unit
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._trial_tables import tables_of
from ridgeline.study._trials import Trial


@dataclass(frozen=True)
class Numerics:
    """What a process set before its first tensor, and which decides the last bits or the speed."""

    threads: int
    flushes: bool
    products: Products


@contextmanager
def prepared(threads: int, kind: Products) -> Iterator[Numerics]:
    """A study's process: denormals are flushed, threads and products set, freed memory kept.

    Threads, products and the treatment of denormals are set back.
    L2 under Adam drives weights into the denormal range, where a CPU step takes four times as long.
    """
    before, flushed = torch.get_num_threads(), not bool(torch.tensor(1e-40) * 0.5)
    flushes = torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    _keep_freed_memory()
    try:
        with products(kind):
            yield Numerics(threads, flushes, kind)
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushed)


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: asking the system anew for each large tensor halved a CNN's speed.

    The numbers are those of malloc.h: trim threshold, top pad, mmap threshold (32 MB is its maximum).
    Elsewhere than on Linux this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in ((-1, 2**31 - 1), (-2, 64 << 20), (-3, 32 << 20)):
            mallopt(option, value)


@lru_cache(maxsize=1)
def _data(section: str, seed: int, data_dir: Path | None) -> tuple[Data, dict[str, str]]:
    data = load_data(json.loads(section), seed, data_dir)
    return data, data.digests()


@dataclass(frozen=True)
class Watch:
    """Who is told while a pack or a trial trains.

    Attributes:
        on_steps: of updates made.
        on_trial: of a trial that is stored.
        say: of what a person should know, in a sentence.
    """

    on_steps: Callable[[int], None]
    on_trial: Callable[[], None]
    say: Callable[[str], None]


def execute(
    run: Path,
    unit: Unit,
    *,
    device: torch.device,
    numerics: Numerics,
    data_dir: Path | None,
    save_every_s: float,
    watch: Watch,
) -> None:
    """Train a pack, or one trial alone, and write a part a trial as soon as it is trained.

    Args:
        save_every_s: seconds between two checkpoints of a pack.

    Raises:
        RidgelineError: naming the trial, when its model or data fail.
    """
    held: dict[tuple[str, int], tuple[Data, dict[str, str]]] = {}
    for trial in unit.trials:
        key = (json.dumps(trial.sections["data"]), trial.seed)
        if key not in held:
            held[key] = _data(*key, data_dir)
    own = {t.trial_id: held[json.dumps(t.sections["data"]), t.seed] for t in unit.trials}
    programs = {t.trial_id: program_of(t.config, t.seed, own[t.trial_id][0]) for t in unit.trials}
    around = Surroundings(run, device, numerics.products, save_every_s, watch.on_steps, watch.say)
    facts = provenance(device, numerics.threads, numerics.flushes)
    facts |= {"products": numerics.products, "pid": str(os.getpid())}
    data = {i: " ".join(each.values()) for i, (_, each) in own.items()}
    with contextlib.closing(_trained(unit, programs, data, around)) as done:
        for trial, outcome, engine, halved in done:
            mine = {"config": json.dumps(trial.config.identity(), sort_keys=True)}
            mine |= {"precision": trial.config.train.precision, "engine": engine}
            mine |= {"halved": halved} if halved else {}
            tables = tables_of(trial, outcome, *own[trial.trial_id])
            write_part(run, trial.trial_id, tables, outcome.weights, {**facts, **mine})
            watch.on_trial()


def _trained(
    unit: Unit, programs: dict[str, Program], data: dict[str, str], around: Surroundings
) -> Generator[tuple[Trial, Outcome, str, str], None, None]:
    """Each trial and its outcome, the engine that trained it, and why in a smaller pack than planned."""
    try:
        if unit.engine == "lanes":
            try:
                for trial, outcome, halved in train_packed(unit, programs, data, around):
                    yield trial, outcome, "lanes", halved
                return
            except NotStackableError as error:  # before its first update: what differs by seed shows only now
                around.say(f"{unit.label} cannot share a program: {error}. They train one after another.")
        for trial in unit.trials:
            if trial.trial_id not in unit.done:
                yield trial, train(programs[trial.trial_id], around.device, around.on_steps), "solo", ""
    except RidgelineError:
        raise
    except Exception as error:  # a person's model or data may fail in any way
        raise RidgelineError(
            f"trial {unit.label} failed while training ({reason(error)}); what was done is kept."
        ) from error
