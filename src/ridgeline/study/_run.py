"""Running a study: check everything, plan, train what is not done, take the parts into tables."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from ridgeline.errors import RidgelineError
from ridgeline.store import (
    consolidate,
    done_trials,
    finished_parts,
    locked,
    read_json,
    write_atomically,
    write_json,
)
from ridgeline.study._check import check_trials, choose_device
from ridgeline.study._checkpoints import drop_checkpoints
from ridgeline.study._executors import Job, Progress, run_here, run_processes
from ridgeline.study._folder import belongs, same_tables, tables_of
from ridgeline.study._plan import Plan
from ridgeline.study._spec import StudySpec, dump_yaml
from ridgeline.study._trials import Trial
from ridgeline.study._underway import units_to_do


class Silent:
    """A progress that tells nobody, but for what a person should know."""

    def start(self, trials: int, done: int, steps_a_trial: int) -> None:
        """Nothing."""

    def steps(self, count: int) -> None:
        """Nothing."""

    def trial_done(self) -> None:
        """Nothing."""

    def say(self, sentence: str) -> None:
        """As a warning."""
        warnings.warn(sentence, stacklevel=2)


def run_study(
    spec: StudySpec,
    trials: Sequence[Trial],
    out: Path,
    *,
    engine: str = "auto",
    device: str = "auto",
    data_dir: Path | None = None,
    progress: Progress | None = None,
    on_plan: Callable[[Plan], None] = lambda plan: None,
) -> int:
    """Run what is not done yet; returns the number of trials trained now.

    Everything is checked before anything is written. An interruption keeps what was done.

    Args:
        on_plan: told the plan that the run obeys, before the first step.

    Raises:
        RidgelineError: for bad input, or a folder that belongs to another study.
    """
    belongs(out, spec)
    tables = tables_of(trials)
    same_tables(out, tables)
    watcher = progress or Silent()
    wanted: dict[str, Trial] = {}
    for trial in trials:
        wanted.setdefault(trial.trial_id, trial)
    if not missing(out, wanted) and not finished_parts(out):
        watcher.start(len(wanted), len(wanted), 0)
        return 0
    checked = check_trials(trials, data_dir, device, engine)
    steps = checked.steps
    plan = _stored_plan(out, engine, device) or checked.plan()
    del checked  # and the models that were built
    with locked(out):
        stored = _stored_plan(out, engine, device)  # another may have begun meanwhile
        if stored is None:
            write_json(out / "plan.json", plan.as_dict())
        plan = stored or plan
        specification = dump_yaml(spec.as_dict())
        write_atomically(out / "study.yaml", specification.encode())
        if tables:
            write_json(out / "data.json", tables)
        todo = missing(out, wanted)
        on_plan(plan)
        watcher.start(len(wanted), len(wanted) - len(todo), steps)
        units, made = units_to_do(out, todo, wanted, plan, watcher.say)
        if made:
            watcher.steps(made)
        job = Job(out, spec.as_dict(), units, plan, data_dir)
        try:
            if todo:
                (run_processes if plan.processes > 1 else run_here)(job, watcher)
            drop_checkpoints(out)
        finally:
            consolidate(out, layout_of(trials), specification)
    return len(todo)


def _stored_plan(out: Path, engine: str, device: str) -> Plan | None:
    """The plan that the run was begun with, where it was.

    Raises:
        RidgelineError: where another engine or device is asked for by name.
    """
    stored = read_json(out / "plan.json")
    if stored is None:
        return None
    plan = Plan.from_dict(stored)
    try:
        choose_device(plan.device)
    except RidgelineError:
        raise RidgelineError(
            f"{out} was begun on {plan.device}, which is not here; go on where it is, or choose another --out."
        ) from None
    for asked, there, option in ((engine, plan.engine, "engine"), (device, plan.device, "device")):
        if asked not in ("auto", there) and (option, asked) != ("engine", plan.asked):
            raise RidgelineError(
                f"{out} was begun with --{option} {there}, and a run keeps its plan; leave --{option} {asked} out, "
                f"or choose another --out."
            )
    return plan


def missing(out: Path, wanted: Mapping[str, Trial]) -> list[Trial]:
    """The trials whose results are stored nowhere yet."""
    done = done_trials(out)
    return [trial for trial_id, trial in wanted.items() if trial_id not in done]


def layout_of(trials: Sequence[Trial]) -> pl.DataFrame:
    """One row a trial of the study, in its order."""
    return pl.DataFrame([trial.layout() for trial in trials], infer_schema_length=None)
