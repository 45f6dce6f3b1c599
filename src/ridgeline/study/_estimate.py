"""How long a study will take on this machine, measured on a few steps of each arm."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ridgeline.lanes import train
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._run import check_trials, choose_device
from ridgeline.study._trials import Trial

_STEPS = 8


def estimate_seconds(trials: Sequence[Trial], data_dir: Path | None, device: str) -> float:
    """Seconds for all trials by the plan, each arm measured on a few steps of its first trial.

    Raises:
        RidgelineError: for anything that would fail later.
    """
    plan, _ = check_trials(trials, data_dir, device, "auto")
    place = torch.device(choose_device(device))
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.threads)
    seconds = 0.0
    last, data = None, None
    try:
        for trial in {t.arm: t for t in reversed(trials)}.values():
            if data is None or trial.sections["data"] != last:
                data, last = load_data(trial.sections["data"], trial.seed, data_dir), trial.sections["data"]
            program = program_of(trial.config, trial.seed, data)
            training = program.training
            count = len({t.trial_id for t in trials if t.arm == trial.arm})
            times = []
            for steps in (_STEPS, 2 * _STEPS):  # the same evaluations, so that the difference is steps alone
                short = replace(training, steps=steps, evaluate_every=steps, evaluate_at=None)
                began = time.perf_counter()
                train(replace(program, training=short), place)
                times.append(time.perf_counter() - began)
            a_step = max(times[1] - times[0], 0.0) / _STEPS
            points = sum(training.evaluates(k) for k in range(1, training.steps + 1))
            an_evaluation = (
                max(times[0] - _STEPS * a_step, 0.0) / 4
            )  # start, end, and whole sets at last and best
            seconds += count * (training.steps * a_step + (points + 3) * an_evaluation)
    finally:
        torch.set_num_threads(threads)
    return seconds / plan.processes
