"""Checking a study before anything is written: every arm is built and tried; then it can be planned."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ridgeline.errors import RidgelineError, nearest
from ridgeline.lanes import faster_products, largest_product, probe
from ridgeline.study._choose import choose
from ridgeline.study._lanes import Groups
from ridgeline.study._measure import measure
from ridgeline.study._plan import ENGINES, EngineName, Plan
from ridgeline.study._predict import worth_measuring
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._trials import Trial
from ridgeline.study._unmeasured import unmeasured


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


@dataclass
class Checked:
    """A study whose arms were all tried.

    Attributes:
        engine: what is asked for.
        groups: its programs, each with one trial that was built.
        steps: of the longest trial.
    """

    device: str
    engine: EngineName
    groups: Groups
    steps: int

    def plan(self) -> Plan:
        """How it runs here. Call it once: what was built is trained a little to see how fast that is."""
        groups, cores = list(self.groups.found.values()), _cores()
        work_s = sum(group.predicted_s for group in groups)
        largest = max(largest_product(g.probed.model, g.program.training.batch_size) for g in groups)
        kind = faster_products(largest) if self.device == "cpu" else "torch"
        if worth_measuring(work_s, sum(g.trials * g.program.training.steps for g in groups)):
            programs = measure(groups, self.engine, cores, kind)
            plan = choose(programs, asked=self.engine, device=self.device, cores=cores, products=kind)
        else:
            plan = unmeasured(
                [group.plan(self.engine) for group in groups],
                asked=self.engine,
                device=self.device,
                cores=cores,
                work_s=work_s,
                parameters=max(group.work.parameters for group in groups),
            )
        return replace(plan, products=kind, asked=self.engine)


def check_trials(trials: Sequence[Trial], data_dir: Path | None, device: str, engine: str) -> Checked:
    """Try every arm's first trial on two examples.

    Raises:
        RidgelineError: for anything that would fail later: data, factory, shapes, rules.
    """
    asked = next((known for known in ENGINES if known == engine), None)
    if asked is None:
        raise RidgelineError(f"engine is {engine!r}; {nearest(engine, ENGINES)}")
    device = choose_device(device)
    place, steps = torch.device(device), 0
    groups = Groups(trials, place)
    last, data = None, None
    firsts = {trial.arm: trial for trial in reversed(trials)}
    for trial in reversed(firsts.values()):
        if data is None or trial.sections["data"] != last:
            data, last = load_data(trial.sections["data"], trial.seed, data_dir), trial.sections["data"]
        program = program_of(trial.config, trial.seed, data)
        try:
            probed = probe(program, place)
        except RidgelineError as error:
            raise RidgelineError(f"arm {trial.arm!r}: {error}") from None
        groups.add(trial, program, probed)
        steps = max(steps, program.training.steps)
    return Checked(device, asked, groups, steps)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
