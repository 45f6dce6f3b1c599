"""Ridgeline's arm: a study planned as `ridgeline run` plans it, its packs and trials trained without the store."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from benchmarks.engines.workloads import Asked, Ended, Work
from ridgeline.data import Data
from ridgeline.lanes import Outcome, Products, Program, train, train_pack
from ridgeline.study._execute import prepared
from ridgeline.study._packs import Unit, units_of
from ridgeline.study._plan import EngineName, Plan, RuleName
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._trials import Trial

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Piece:
    """A unit of a plan, small enough to be sent to another process.

    Attributes:
        trials: places among the study's trials.
    """

    trials: tuple[int, ...]
    engine: str
    rule: RuleName
    threads: int
    products: Products


def planned(work: Work, engine: EngineName) -> tuple[Plan, list[Piece]]:
    """From the specification to the plan for all lanes, and what it has processes train, piece by piece."""
    study = work.study()
    plan = study.plan(engine=engine, device="cpu")
    return plan, pieces_of(study.trials(), plan)


def pieces_of(trials: Sequence[Trial], plan: Plan) -> list[Piece]:
    """The plan's units."""
    place = {id(trial): k for k, trial in enumerate(trials)}
    return [
        Piece(tuple(place[id(t)] for t in unit.trials), unit.engine, unit.rule, plan.threads, plan.products)
        for unit in units_of(trials, plan)
    ]


def train_piece(work: Work, piece: Piece) -> list[Ended]:
    """Train it in this process."""
    trials = [_trials(work)[k] for k in piece.trials]
    unit = Unit(tuple(trials), piece.engine, piece.rule)
    with prepared(piece.threads, piece.products):
        outcomes = _trained(unit, programs_of(trials))
    return [_ended(trial, outcome) for trial, outcome in zip(trials, outcomes, strict=True)]


def programs_of(trials: Sequence[Trial]) -> list[Program]:
    """Their programs; trials of one seed share its data."""
    drawn: dict[int, Data] = {}
    for trial in trials:
        if trial.seed not in drawn:
            drawn[trial.seed] = load_data(trial.sections["data"], trial.seed, None)
    return [program_of(trial.config, trial.seed, drawn[trial.seed]) for trial in trials]


@lru_cache(maxsize=4)
def _trials(work: Work) -> list[Trial]:
    return work.study().trials()


def _trained(unit: Unit, programs: list[Program]) -> list[Outcome]:
    if unit.engine == "lanes":
        return train_pack(programs, _CPU, rule=unit.rule or None)
    return [train(programs[0], _CPU)]


def _ended(trial: Trial, outcome: Outcome) -> Ended:
    train_loss, val = outcome.last["train"].loss, outcome.last["val"]
    asked = Asked(trial.varied["regularization.strength"], trial.seed)
    return Ended(asked, train_loss, val.loss, val.accuracy or 0.0)
