"""Running a study: check everything, plan, train what is not done, take the parts into tables."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch

from ridgeline.errors import RidgelineError, nearest
from ridgeline.lanes import faster_products, largest_product, probe, products
from ridgeline.store import (
    consolidate,
    done_trials,
    finished_parts,
    locked,
    read_json,
    write_atomically,
    write_json,
)
from ridgeline.study._executors import Job, Progress, run_here, run_processes
from ridgeline.study._lanes import Groups
from ridgeline.study._options import data_identity
from ridgeline.study._packs import units_of
from ridgeline.study._plan import ENGINES, WORTH_MEASURING_S, Plan, make_plan, predict_seconds, with_lanes
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._spec import StudySpec, dump_yaml, parse_yaml
from ridgeline.study._trials import Trial


class Silent:
    """A progress that tells nobody."""

    def start(self, trials: int, done: int, steps_a_trial: int) -> None:
        """Nothing."""

    def steps(self, count: int) -> None:
        """Nothing."""

    def trial_done(self) -> None:
        """Nothing."""


def choose_device(name: str) -> str:
    """ "auto" takes the first CUDA device, else the CPU.

    Raises:
        RidgelineError: for a device that this machine lacks.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RidgelineError(f"device is {name!r}; allowed: auto, cpu, cuda, cuda:N.") from None
    there = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(device.type, 0)
    if (device.index or 0) >= there:
        raise RidgelineError(f"device {name!r} is not available here; use cpu.")
    return name


def check_trials(
    trials: Sequence[Trial], data_dir: Path | None, device: str, engine: str
) -> tuple[Plan, int]:
    """Try every arm's first trial on two examples and plan the run; returns the plan and steps a trial.

    Raises:
        RidgelineError: for anything that would fail later: data, factory, shapes, rules.
    """
    if engine not in ENGINES:
        raise RidgelineError(f"engine is {engine!r}; {nearest(engine, ENGINES)}")
    device = choose_device(device)
    firsts = {trial.arm: trial for trial in reversed(trials)}
    seconds, parameters, steps, largest = 0.0, 0, 0, 0
    last_key, data = None, None
    groups = Groups(torch.device(device))
    for trial in reversed(list(firsts.values())):
        if data is None or trial.sections["data"] != last_key:
            data, last_key = load_data(trial.sections["data"], trial.seed, data_dir), trial.sections["data"]
        program = program_of(trial.config, trial.seed, data)
        try:
            model = probe(program, torch.device(device))
        except RidgelineError as error:
            raise RidgelineError(f"arm {trial.arm!r}: {error}") from None
        if engine != "solo":
            groups.add(trial, program, model)
        size = sum(p.numel() for p in model.parameters())
        parameters = max(parameters, size)
        largest = max(largest, largest_product(model, program.training.batch_size))
        steps = max(steps, program.training.steps)
        seconds += predict_seconds(size, program.training.batch_size, program.training.steps)
    count, a_trial = len({trial.trial_id for trial in trials}), seconds / len(firsts)
    plan = make_plan(
        device=device, cores=_cores(), trials=count, seconds_a_trial=a_trial, parameters=parameters
    )
    kind = faster_products(largest) if device == "cpu" else "torch"
    plan = replace(plan, products=kind)
    if engine == "lanes":
        plan = with_lanes(plan, groups.plans(trials), _cores(), count * a_trial)
    elif engine == "auto" and device == "cpu" and count > 1 and count * a_trial > WORTH_MEASURING_S:
        with products(kind):
            programs, work = groups.measured(trials)
        plan = with_lanes(plan, programs, _cores(), work, measured=True)
    return plan, steps


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_study(
    spec: StudySpec,
    trials: Sequence[Trial],
    out: Path,
    *,
    engine: str = "auto",
    device: str = "auto",
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> int:
    """Run what is not done yet; returns the number of trials trained now.

    Everything is checked before anything is written. An interruption keeps what was done.

    Raises:
        RidgelineError: for bad input, or a folder that belongs to another study.
    """
    belongs(out, spec)
    tables = _tables_of(trials)
    _same_tables(out, tables)
    watcher = progress or Silent()
    wanted: dict[str, Trial] = {}
    for trial in trials:
        wanted.setdefault(trial.trial_id, trial)
    if not missing(out, wanted) and not finished_parts(out):
        watcher.start(len(wanted), len(wanted), 0)
        return 0
    plan, steps = check_trials(trials, data_dir, device, engine)
    with locked(out):
        stored = read_json(out / "plan.json")
        if stored is not None:
            plan = _obeyed(Plan.from_dict(stored), engine, device, out)
        else:
            write_json(out / "plan.json", plan.as_dict())
        specification = dump_yaml(spec.as_dict())
        write_atomically(out / "study.yaml", specification.encode())
        if tables:
            write_json(out / "data.json", tables)
        todo = missing(out, wanted)
        watcher.start(len(wanted), len(wanted) - len(todo), steps)
        job = Job(out, spec.as_dict(), units_of(todo, plan), plan, data_dir)
        try:
            if todo:
                (run_processes if plan.processes > 1 else run_here)(job, watcher)
        finally:
            consolidate(out, layout_of(trials), specification)
    return len(todo)


def _obeyed(plan: Plan, engine: str, device: str, out: Path) -> Plan:
    """The stored plan, unless another engine or device is asked for by name."""
    for asked, there, option in ((engine, plan.engine, "engine"), (device, plan.device, "device")):
        if asked not in ("auto", there):
            raise RidgelineError(
                f"{out} was begun with --{option} {there}, and a run keeps its plan; leave --{option} {asked} out, "
                f"or choose another --out."
            )
    return plan


def _tables_of(trials: Sequence[Trial]) -> dict[str, str]:
    """The content hash of each table that the trials read, by path."""
    sections = [trial.config.data for trial in trials if "file" in trial.config.data]
    return {section["file"]: data_identity(section)["file"] for section in sections}


def _same_tables(out: Path, tables: Mapping[str, str]) -> None:
    """Refuse to mix results of a table with those of its changed self.

    Raises:
        RidgelineError: naming the table.
    """
    for path, digest in (read_json(out / "data.json") or {}).items():
        if tables.get(path, digest) != digest:
            raise RidgelineError(
                f"{path} has changed since {out} was begun; restore it, or choose another --out."
            )


def missing(out: Path, wanted: Mapping[str, Trial]) -> list[Trial]:
    """The trials whose results are stored nowhere yet."""
    done = done_trials(out)
    return [trial for trial_id, trial in wanted.items() if trial_id not in done]


def layout_of(trials: Sequence[Trial]) -> pl.DataFrame:
    """One row a trial of the study, in its order."""
    return pl.DataFrame([trial.layout() for trial in trials], infer_schema_length=None)


def belongs(out: Path, spec: StudySpec) -> None:
    """Refuse a folder that holds another study, or anything else; more seeds of the same one are welcome.

    Raises:
        RidgelineError: naming the first key that differs.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise RidgelineError(f"{out} is a file, not a folder; choose another --out.")
    kept = out / "study.yaml"
    if not kept.is_file():
        ours = (
            ".lock",
            "plan.json",
            ".plan.json.",
            ".study.yaml.",
            "data.json",
            ".data.json.",
        )  # a kill may leave half-written files
        strangers = [p.name for p in out.iterdir() if not p.name.startswith(ours)]
        if strangers:
            raise RidgelineError(
                f"{out} is no run folder: it holds {sorted(strangers)[0]!r}; choose another --out."
            )
        return
    there = parse_yaml(kept.read_text(), str(kept))
    here = spec.as_dict()
    seeds = there.get("seeds", 1) if isinstance(there, dict) else None
    if isinstance(seeds, int) and seeds > spec.seeds:
        raise RidgelineError(
            f"{out} holds {seeds} seeds, {spec.seeds} are asked for; ask for {seeds} or more, or choose "
            f"another --out."
        )
    difference = _first_difference(there, here, "")
    if difference:
        raise RidgelineError(f"{out} belongs to another study: {difference}; choose another --out.")


def _first_difference(there: Any, here: Any, key: str) -> str:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in dict.fromkeys([*there, *here]):
            if name == "seeds" and not key:
                continue
            found = _first_difference(there.get(name), here.get(name), f"{key}.{name}" if key else name)
            if found:
                return found
        return ""
    return "" if there == here else f"{key} is {there!r} there and {here!r} here"
