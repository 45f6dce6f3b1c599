"""How fast a trial trains here, alone or in a pack: a few updates and one evaluation, measured."""

import time
from collections.abc import Sequence

import torch

from ridgeline.lanes._history import curve_sets
from ridgeline.lanes._lane_evaluate import evaluate_lanes
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._settings import Training
from ridgeline.lanes._solo import Program, _Trial, batches
from ridgeline.lanes._updates import Rule

_WARM_UP, _STEPS = 3, 8
# An evaluation that takes longer is as dear in a pack as alone: its products are large.
_LONG_S = 1.0


def seconds_of(program: Program, device: torch.device) -> float:
    """Seconds that one trial would take: its updates, its curve's evaluations, and its whole sets at the end.

    Whole sets are reckoned by their number of examples.
    """
    training = program.training
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        trial = _Trial(program, device)
        trial.model.train()
        sets = curve_sets(trial.sets, training)
        count = min(_STEPS, training.steps)
        order = list(batches(len(trial.train_set), training.batch_size, program.seed, _WARM_UP + count))
        for index in order[:_WARM_UP]:
            trial.update(index)
        began = _now(device)
        for index in order[_WARM_UP:]:
            trial.update(index)
        a_step = (_now(device) - began) / count
        began = _now(device)
        trial.record(sets, None)
        an_evaluation = _now(device) - began
    evaluated = sum(len(examples) for examples in {**sets, **trial.moving_sets()}.values())
    whole = sum(len(examples) for examples in trial.sets.values()) / evaluated
    return _in_all(training, a_step, an_evaluation, whole)


def seconds_of_pack(programs: Sequence[Program], device: torch.device, rule: Rule) -> float:
    """Seconds that a pack of these trials would take, reckoned in the same way."""
    training = programs[0].training
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        pack = Pack(programs, device, rule)
        for _ in range(_WARM_UP):
            pack.update()
        began, count = _now(device), min(_STEPS, training.steps)
        for _ in range(count):
            pack.update()
        a_step = (_now(device) - began) / count
        an_evaluation = _evaluation_of(pack, device)
    evaluated = sum(len(view) for view in {**pack.views, **pack.moving_views()}.values())
    whole = sum(each.size for each in pack.state.sets.values()) / evaluated
    return _in_all(training, a_step, an_evaluation, whole)


def _evaluation_of(pack: Pack, device: torch.device) -> float:
    """Seconds of one evaluation of all lanes; reckoned from two of them where it would take long."""
    few, state = 2, pack.state
    weights = {name: w[:few] for name, w in state.tensors().items()}
    began = _now(device)
    for view in {**pack.views, **pack.moving_views()}.values():
        evaluate_lanes(state.layer, weights, view, pack.training.loss, few)
    reckoned = (_now(device) - began) * len(pack.lanes) / few
    if reckoned > _LONG_S:
        return reckoned
    began = _now(device)
    pack.record(None)
    return _now(device) - began


def _in_all(training: Training, a_step: float, an_evaluation: float, whole: float) -> float:
    """Updates, the curve's points, and the whole sets at the last and the best step."""
    points = 1 + sum(training.evaluates(step) for step in range(1, training.steps + 1))
    return training.steps * a_step + (points + 2 * whole) * an_evaluation


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
