"""Which arms of a study can train in lanes, how their model would run, and why not where they cannot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import nn

from ridgeline.lanes import (
    Path,
    Program,
    Rule,
    Training,
    obstacle_to,
    path_of,
    rule_for,
    seconds_of,
    seconds_of_pack,
)
from ridgeline.study._packs import program_key
from ridgeline.study._plan import ProgramPlan, faster, lanes_that_fit
from ridgeline.study._trials import Trial

_CPU = torch.device("cpu")
# Lanes of the pack that is measured; what more of them cost is reckoned from there.
_MEASURED = 16


@dataclass
class Group:
    """Arms that share a program.

    Attributes:
        obstacle: why they cannot train in lanes, whatever their model; "" where they may.
        first: the first of them.
        trainings: of each arm.
    """

    obstacle: str
    first: Program
    parameters: int
    device: torch.device
    trainings: dict[str, Training] = field(default_factory=dict)

    @cached_property
    def path(self) -> Path:
        """How their model runs; found out by running it."""
        return Path("solo", self.obstacle) if self.obstacle else path_of(self.first, self.device)

    def plan(self, counts: Mapping[str, int]) -> ProgramPlan:
        """Its part of the plan.

        Args:
            counts: trials of each arm.
        """
        arms, data = tuple(self.trainings), self.first.data
        total = sum(counts[arm] for arm in arms)
        rule = rule_for([t for arm, t in self.trainings.items() for _ in range(counts[arm])])
        lanes = lanes_that_fit(self.parameters, self.first.training.batch_size * math.prod(data.input_shape))
        if self.path.kind == "solo":
            return ProgramPlan(arms, "solo", "", 1, self.path.reason)
        if total == 1:
            return ProgramPlan(arms, "solo", "", 1, "a single trial has nothing to share")
        return ProgramPlan(arms, "lanes", rule, lanes, self.path.reason)

    def measured(self, plan: ProgramPlan, trials: int) -> tuple[ProgramPlan, float]:
        """The faster of lanes and solo for this many trials, and the seconds of one core that they take."""
        alone = seconds_of(self.first, _CPU) * trials
        if plan.engine != "lanes":
            return plan, alone
        rule: Rule = "grouped" if plan.rule == "grouped" else "broadcast"
        lanes = min(trials, plan.lanes)

        def pace(count: int) -> float:
            programs = [replace(self.first, seed=self.first.seed + k) for k in range(count)]
            return seconds_of_pack(programs, _CPU, rule)

        few, more = 2, min(lanes, _MEASURED)
        first = pace(few)
        slope = max(pace(more) - first, 0.0) / (more - few) if more > few else 0.0
        return faster(plan, trials, alone, (first + slope * (lanes - few)) * (trials / lanes))


@dataclass
class Groups:
    """The arms of a study by program, gathered as they are checked one by one."""

    device: torch.device
    found: dict[tuple[str, str], Group] = field(default_factory=dict)

    def add(self, trial: Trial, program: Program, model: nn.Module) -> None:
        """Take in an arm, by its first trial and the model that was built for it."""
        why = obstacle_to(program, model)
        key = (program_key(trial.config), why)
        if key not in self.found:
            size = sum(p.numel() for p in model.parameters())
            self.found[key] = Group(why, program, size, self.device)
        self.found[key].trainings[trial.arm] = program.training

    def plans(self, trials: Sequence[Trial]) -> list[ProgramPlan]:
        """One a program; an arm that is the same program as another counts with it."""
        counts = _counts(trials)
        return [group.plan(counts) for group in self.found.values()]

    def measured(self, trials: Sequence[Trial]) -> tuple[list[ProgramPlan], float]:
        """The same, each with the engine that is faster here on one core, and the seconds that all take on it."""
        counts, threads = _counts(trials), torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            found = [
                group.measured(group.plan(counts), sum(counts[arm] for arm in group.trainings))
                for group in self.found.values()
            ]
        finally:
            torch.set_num_threads(threads)
        return [plan for plan, _ in found], sum(seconds for _, seconds in found)


def _counts(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials each arm trains; one that is the same program as another's counts with that."""
    counts = dict.fromkeys((t.arm for t in trials), 0)
    for trial in {t.trial_id: t for t in reversed(trials)}.values():
        counts[trial.arm] += 1
    return counts
