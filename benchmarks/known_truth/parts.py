"""A trained task on disk, one file each, so that what was trained stays trained; only then come the labels."""

import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.known_truth.tasks import TASKS
from benchmarks.known_truth.training import COLUMNS, Run, data_of, null_losses, trained


def write_part(name: str, folder: Path) -> float:
    """Train all arms of a task, unless its file is there; the seconds it took."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(1)
    file, began = folder / f"{name}.npz", time.perf_counter()
    if file.exists():
        return 0.0
    task = next(task for task in TASKS if task.name == name)
    data = data_of(task)
    null, null_error = null_losses(task, data)
    arrays = {"null": np.array([null, np.nan if null_error is None else null_error])}
    for place, arm in enumerate(task.arms):
        run = trained(task, arm, data)
        arrays |= {f"{place}/{column}": values for column, values in run.curves.items()}
        arrays |= {f"{place}/stops": run.stops, f"{place}/train": run.train, f"{place}/losses": run.losses}
        if run.errors is not None:
            arrays[f"{place}/errors"] = run.errors.astype(bool)
    half = file.with_suffix(".part.npz")
    np.savez(half, **arrays)
    half.rename(file)
    return time.perf_counter() - began


def read_part(name: str, folder: Path) -> tuple[float, float | None, list[Run]]:
    """Null loss, null error, and the runs of a task, in the order of its arms."""
    task = next(task for task in TASKS if task.name == name)
    with np.load(folder / f"{name}.npz") as arrays:
        null, null_error = (float(value) for value in arrays["null"])
        runs = [
            Run(
                {column: arrays[f"{place}/{column}"] for column in COLUMNS},
                arrays[f"{place}/stops"],
                arrays[f"{place}/train"],
                arrays[f"{place}/losses"],
                arrays.get(f"{place}/errors"),
            )
            for place in range(len(task.arms))
        ]
    return null, None if np.isnan(null_error) else null_error, runs
