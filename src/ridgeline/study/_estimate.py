"""How long a study will take on this machine, measured on a few steps of each arm."""

from collections.abc import Sequence
from pathlib import Path

import torch

from ridgeline.lanes import seconds_of
from ridgeline.study._execute import prepared
from ridgeline.study._programs import load_data, program_of
from ridgeline.study._run import check_trials, choose_device
from ridgeline.study._trials import Trial


def estimate_seconds(trials: Sequence[Trial], data_dir: Path | None, device: str) -> float:
    """Seconds for all trials by the plan, each arm measured on a few steps of its first trial.

    Raises:
        RidgelineError: for anything that would fail later.
    """
    plan, _ = check_trials(trials, data_dir, device, "auto")
    if plan.seconds is not None:
        return plan.seconds
    place = torch.device(choose_device(device))
    seconds = 0.0
    last, data = None, None
    with prepared(plan.threads, plan.products):
        for trial in {t.arm: t for t in reversed(trials)}.values():
            if data is None or trial.sections["data"] != last:
                data, last = load_data(trial.sections["data"], trial.seed, data_dir), trial.sections["data"]
            count = len({t.trial_id for t in trials if t.arm == trial.arm})
            seconds += count * seconds_of(program_of(trial.config, trial.seed, data), place)
    return seconds / plan.processes
