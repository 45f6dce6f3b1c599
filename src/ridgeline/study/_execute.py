"""Training a trial or a pack of them and storing it: what every executor does."""

import contextlib
import ctypes
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl
import torch

from ridgeline.data import Data
from ridgeline.errors import RidgelineError, reason
from ridgeline.lanes import Outcome, Products, products, train, train_pack
from ridgeline.store import provenance, write_part
from ridgeline.study._baseline import null_scores
from ridgeline.study._packs import Unit
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._trials import Trial


@dataclass(frozen=True)
class Numerics:
    """What a process set before its first tensor, and which decides the last bits or the speed."""

    threads: int
    flushes: bool
    products: Products


@contextmanager
def prepared(threads: int, kind: Products) -> Iterator[Numerics]:
    """A study's process: denormals are flushed, threads and products set, freed memory kept; then set back.

    L2 under Adam drives weights into the denormal range, where a CPU step takes four times as long.
    """
    before = torch.get_num_threads()
    flushes = torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    _keep_freed_memory()
    try:
        with products(kind):
            yield Numerics(threads, flushes, kind)
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


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


def execute(
    run: Path,
    unit: Unit,
    *,
    device: torch.device,
    numerics: Numerics,
    data_dir: Path | None,
    on_steps: Callable[[int], None],
) -> None:
    """Train a pack, or one trial alone, and write a part a trial.

    Raises:
        RidgelineError: naming the trial, when its model or data fail.
    """
    held: dict[tuple[str, int], tuple[Data, dict[str, str]]] = {}
    for trial in unit.trials:
        key = (json.dumps(trial.sections["data"]), trial.seed)
        if key not in held:
            held[key] = _data(*key, data_dir)
    own = [held[json.dumps(trial.sections["data"]), trial.seed] for trial in unit.trials]
    programs = [program_of(t.config, t.seed, data) for t, (data, _) in zip(unit.trials, own, strict=True)]
    try:
        if unit.engine == "lanes":
            outcomes = train_pack(
                programs, device, on_steps, "grouped" if unit.rule == "grouped" else "broadcast"
            )
        else:
            outcomes = [train(programs[0], device, on_steps)]
    except RidgelineError:
        raise
    except Exception as error:  # a person's model or data may fail in any way
        raise RidgelineError(
            f"trial {unit.label} failed while training ({reason(error)}); what was done is kept."
        ) from error
    facts = provenance(device, numerics.threads, numerics.flushes)
    facts |= {"products": numerics.products, "engine": unit.engine, "pid": str(os.getpid())}
    for trial, outcome, (data, digests) in zip(unit.trials, outcomes, own, strict=True):
        identity = {"config": json.dumps(trial.config.identity(), sort_keys=True)}
        tables = _tables(trial, outcome, data, digests)
        write_part(run, trial.trial_id, tables, outcome.weights, facts | identity)


def _tables(trial: Trial, outcome: Outcome, data: Data, digests: dict[str, str]) -> dict[str, pl.DataFrame]:
    row: dict[str, object] = {
        "trial_id": trial.trial_id,
        "status": outcome.status,
        "steps": outcome.steps,
        "best_step": outcome.best_step,
        "seconds": outcome.seconds,
        "task": data.task,
    }
    for when, found in (("final", outcome.last), ("best", outcome.best)):
        for name in ("train", "val"):
            row[f"{when}_{name}_loss"] = found[name].loss if found else None
            row[f"{when}_{name}_accuracy"] = found[name].accuracy if found else None
    row |= null_scores(data, trial.config.train.loss)
    row |= {f"n_{name}": len(examples) for name, examples in data.sets.items()}
    row |= {f"{name}_hash": digest for name, digest in digests.items()}
    curves = pl.DataFrame(outcome.curves, schema_overrides={"step": pl.Int64})
    audit = (
        pl.DataFrame(outcome.audit)
        if outcome.audit
        else pl.DataFrame({"name": []}, schema={"name": pl.String})
    )
    return {
        "trials": pl.DataFrame([row]),
        "curves": _named(curves, trial),
        "predictions": _named(_predictions(outcome, data), trial),
        "audit": _named(audit, trial),
    }


def _named(frame: pl.DataFrame, trial: Trial) -> pl.DataFrame:
    return frame.select(pl.lit(trial.trial_id).alias("trial_id"), pl.all())


def _predictions(outcome: Outcome, data: Data) -> pl.DataFrame:
    """One row an example of val and test, at the last and the best step."""
    frames = [
        pl.DataFrame(
            {
                "set": [name] * len(evaluation.losses),
                "when": [when] * len(evaluation.losses),
                "example": data.sets[name].ids.numpy(),
                "label": None if evaluation.correct is None else data.sets[name].targets().cpu().numpy(),
                "loss": evaluation.losses.numpy(),
                "correct": None if evaluation.correct is None else evaluation.correct.numpy(),
            },
            schema=_PREDICTIONS,
        )
        for when, found in (("last", outcome.last), ("best", outcome.best))
        for name, evaluation in found.items()
        if name != "train"
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=_PREDICTIONS)


_PREDICTIONS = {
    "set": pl.String,
    "when": pl.String,
    "example": pl.Int32,
    "label": pl.Int32,
    "loss": pl.Float32,
    "correct": pl.Boolean,
}
