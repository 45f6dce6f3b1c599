"""From trained tasks to the two stored tables: the curves of every arm, and the labels of every stop."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.known_truth.arms import Task
from benchmarks.known_truth.parts import read_part
from benchmarks.known_truth.rule import End, Truth, delta_of, has_stronger, truth_of
from benchmarks.known_truth.training import COLUMNS, Run


def write_tables(tasks: list[Task], parts: Path, out: Path) -> None:
    """histories.parquet (task, arm, curves) and labels.parquet (task, arm, stop, labels) in `out`."""
    curves, labels = [], []
    for task in tasks:
        null, null_error, runs = read_part(task.name, parts)
        for arm, run in zip(task.arms, runs, strict=True):
            columns: dict[str, Any] = {
                "task": task.name,
                "arm": arm.name,
                "step": run.curves["step"].astype(np.int32),
            }
            columns |= {name: run.curves[name].astype(np.float32) for name in COLUMNS[1:]}
            curves.append(pl.DataFrame(columns))
        labels += labels_of(task, null, null_error, runs)
    out.mkdir(parents=True, exist_ok=True)
    frame = pl.concat(curves).with_columns(pl.col(pl.Float32).fill_nan(None))
    frame.write_parquet(out / "histories.parquet", compression="zstd", compression_level=15)
    table = pl.DataFrame(labels, infer_schema_length=None)
    table.write_parquet(out / "labels.parquet", compression="zstd", compression_level=15)


def labels_of(task: Task, null: float, null_error: float | None, runs: list[Run]) -> list[dict[str, Any]]:
    """One row a stop of each arm, labelled by loss and, for classes, by error."""
    by_loss = _ends(task, runs, by_error=False)
    delta = delta_of(null, [float(end.losses.mean()) for end in by_loss])
    by_error = _ends(task, runs, by_error=True) if null_error is not None else []
    delta_error = (
        None if null_error is None else delta_of(null_error, [float(e.losses.mean()) for e in by_error])
    )
    names = [arm.name for arm, run in zip(task.arms, runs, strict=True) for _ in run.stops]
    rows = []
    for place, (name, end) in enumerate(zip(names, by_loss, strict=True)):
        row = {
            "task": task.name,
            "arm": name,
            "stop": end.stop,
            "loss": task.loss,
            "null_loss": null,
            "null_error": null_error,
            "train_loss": end.train,
            "test_loss": float(end.losses.mean()),
            "tested": has_stronger(end, by_loss),
            "delta": delta,
            **_columns(truth_of(end, by_loss, delta), ""),
        }
        if delta_error is not None:
            error = by_error[place]
            row |= {"test_error": float(error.losses.mean()), "delta_error": delta_error}
            row |= _columns(truth_of(error, by_error, delta_error), "_error")
        rows.append(row)
    return rows


def _columns(truth: Truth, suffix: str) -> dict[str, Any]:
    return {
        f"label{suffix}": truth.label,
        f"advantage{suffix}": truth.advantage,
        f"low{suffix}": truth.low,
        f"against{suffix}": truth.against,
    }


def _ends(task: Task, runs: list[Run], by_error: bool) -> list[End]:
    found = []
    for arm, run in zip(task.arms, runs, strict=True):
        values = run.errors if by_error else run.losses
        assert values is not None
        for stop, train, losses in zip(run.stops, run.train, values, strict=True):
            found.append(End(arm.amounts, arm.rest, int(stop), float(train), losses))
    return found
