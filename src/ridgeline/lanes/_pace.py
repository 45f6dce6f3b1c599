"""How fast a trial trains here: a few of its updates and one evaluation, measured."""

import time

import torch

from ridgeline.lanes._history import curve_sets
from ridgeline.lanes._solo import Program, _Trial, batches

_WARM_UP, _STEPS = 3, 8


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
    points = 1 + sum(training.evaluates(step) for step in range(1, training.steps + 1))
    evaluated = sum(len(examples) for examples in {**sets, **trial.moving_sets()}.values())
    whole = sum(len(examples) for examples in trial.sets.values()) / evaluated
    return (
        training.steps * a_step + (points + 2 * whole) * an_evaluation
    )  # whole at the last and the best step


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
