"""Which arms of a study share a program, how their model would run in lanes, and why not where it cannot."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes import (
    OWN_TERM,
    Path,
    Probed,
    Program,
    Training,
    Work,
    idle,
    obstacle_to,
    path_of,
    rule_for,
    work_of,
)
from ridgeline.study._packs import program_key
from ridgeline.study._plan import EngineName, ProgramPlan
from ridgeline.study._predict import PACK_BYTES, lanes_that_fit, predict_seconds
from ridgeline.study._trials import Trial

BESIDE = "without a penalty, it trains alone as the term of your own does: the two compare bit for bit"


@dataclass
class Group:
    """Arms that share a program.

    Attributes:
        obstacle: why they cannot train in lanes, whatever their model; "" where they may.
        program, probed: of one of them, with a penalty where any has one.
        seeds: of the study, which may draw examples anew.
        trainings: of each arm.
        trials: how many they have; an arm that is the same program as another counts with it.
    """

    obstacle: str
    program: Program
    probed: Probed
    work: Work
    device: torch.device
    seeds: int
    trainings: dict[str, Training] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        """How many there are."""
        return sum(self.counts[arm] for arm in self.trainings)

    @property
    def predicted_s(self) -> float:
        """Seconds that they would take one after another on one core, roughly."""
        training = self.program.training
        return self.trials * predict_seconds(self.work, training.batch_size, training.steps)

    @property
    def examples_bytes(self) -> float:
        """What a lane adds to the examples that a pack holds, if each seed draws its own: lanes of one seed share."""
        sets = [each for each in self.program.data.sets.values() if isinstance(each, ArrayExamples)]
        own = sum(t.numel() * t.element_size() for each in sets for t in (each.x, each.y))
        return own * min(self.seeds / self.trials, 1.0)

    @property
    def fitting(self) -> int:
        """How many lanes a pack of them may hold; fewer than two where memory speaks against packs."""
        numbers, batch_size = math.prod(self.program.data.input_shape), self.program.training.batch_size
        return lanes_that_fit(self.work, batch_size, numbers, self.examples_bytes, room_on(self.device))

    @cached_property
    def path(self) -> Path:
        """How their model runs; found out by running it, where it is no model of known layers."""
        if self.obstacle:
            return Path("solo", self.obstacle)
        return path_of(self.program, self.device, self.probed.model)

    def plan(self, asked: EngineName) -> ProgramPlan:
        """In packs where that is possible, whether it pays or not."""
        arms = tuple(self.trainings)
        if asked == "solo":
            why = "solo is asked for"
        elif self.path.kind != "solo" and self.trials == 1:
            why = "a single trial has nothing to share"
        else:
            why = self.path.reason
        if asked == "solo" or self.path.kind == "solo" or self.trials == 1:
            return ProgramPlan(arms, "solo", "", 1, why, self.trials)
        rule = rule_for([t for arm, t in self.trainings.items() for _ in range(self.counts[arm])])
        return ProgramPlan(arms, "lanes", rule, max(2, self.fitting), why, self.trials)


class Groups:
    """The arms of a study by program, gathered as they are checked one by one."""

    def __init__(self, trials: Sequence[Trial], device: torch.device) -> None:
        self.device, self.counts, self.seeds = device, _counts(trials), len({t.seed for t in trials})
        self.found: dict[tuple[str, str], Group] = {}
        self._plain: dict[str, list[tuple[Trial, Program, Probed]]] = {}

    def add(self, trial: Trial, program: Program, probed: Probed) -> None:
        """Take in an arm, by its first trial, which was built and tried."""
        why, shared = obstacle_to(program, probed.model), program_key(trial.config)
        if not why and all(rule.penalty is None or idle(rule.penalty) for rule in program.rules):
            self._plain.setdefault(shared, []).append((trial, program, probed))
        self._take((shared, why), trial, program, probed)
        if (shared, OWN_TERM) in self.found:
            self._set_beside(shared)

    def _set_beside(self, shared: str) -> None:
        """Arms without a penalty train as those with an own term do: one that does nothing then differs in no bit."""
        for trial, program, probed in self._plain.pop(shared, []):
            group = self.found[shared, ""]
            del group.trainings[trial.arm]
            if not group.trainings:
                del self.found[shared, ""]
            self._take((shared, BESIDE), trial, program, probed)

    def _take(self, key: tuple[str, str], trial: Trial, program: Program, probed: Probed) -> None:
        why = key[1]
        if key not in self.found:
            x, _ = program.data.train.batch(torch.arange(min(2, len(program.data.train))))
            work = work_of(probed.model, x.to(self.device))
            self.found[key] = Group(why, program, probed, work, self.device, self.seeds, counts=self.counts)
        group = self.found[key]
        if program.rules and not group.program.rules:
            group.program, group.probed = program, probed
        group.trainings[trial.arm] = program.training


def room_on(device: torch.device) -> int:
    """Bytes that a pack may take: half of what a GPU has free, as others may use it too."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else PACK_BYTES


def _counts(trials: Sequence[Trial]) -> dict[str, int]:
    """How many trials each arm trains; one that is the same program as another's counts with that."""
    counts = dict.fromkeys((t.arm for t in trials), 0)
    for trial in {t.trial_id: t for t in reversed(trials)}.values():
        counts[trial.arm] += 1
    return counts
