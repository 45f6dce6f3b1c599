"""TensorBoard's event files; the library is asked for where one is read."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from ridgeline.diagnosis.readers._groups import arm_and_run
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._table import Table, not_found
from ridgeline.diagnosis.readers._words import SPLITS, words
from ridgeline.errors import RidgelineError, reason

MARK = "tfevents"


def read_events(path: Path) -> list[Table]:
    """A table for each run below a folder, or for one event file.

    Folders named "train", "validation", "loss_val" are parts of one run, as Keras and add_scalars write them.

    Raises:
        RidgelineError: where the library is missing, or no file holds a scalar that is a curve.
    """
    folders = _folders(path)
    root = path if path.is_dir() else path.parent
    runs: dict[str, dict[str, list[tuple[float, float]]]] = {}
    tags: list[str] = []
    for folder in folders:
        run, before = _named(folder if folder.is_dir() else folder.parent, root)
        for tag, points in _scalars(folder):
            tags.append(tag)
            name = tag if not before or recognise(f"{before} {tag}") is None else f"{before} {tag}"
            runs.setdefault(run, {}).setdefault(name, []).extend(points)
    kept = {run: found for run, found in runs.items() if any(_is_curve(name) for name in found)}
    if not kept:
        raise not_found(str(path), None, dict.fromkeys(tags))
    tables = []
    for run, found in kept.items():
        arm, seed = arm_and_run(run)
        tables.append(
            Table(
                _frame(found), str(path), arm=arm if len(kept) > 1 else "", run=seed if len(kept) > 1 else run
            )
        )
    return tables


def _folders(path: Path) -> list[Path]:
    """The folders with event files at or below a path, or the file."""
    if path.is_file():
        return [path]
    return sorted({file.parent for file in path.rglob(f"*{MARK}*") if file.is_file()})


def _named(folder: Path, root: Path) -> tuple[str, str]:
    """The run that a folder belongs to, and what its name adds to the tags."""
    parts = list(folder.relative_to(root).parts)
    before = ""
    if parts and any(word in SPLITS for word in words(parts[-1])):
        before = parts.pop().replace("_", " ")
        said = words(before)
        before = next(word for word in said if word in SPLITS)
    return "/".join(parts), before


def _scalars(path: Path) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The (step, value) of each scalar, in the order of writing; both forms of scalars are read."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ModuleNotFoundError:
        raise RidgelineError(
            f"{path} is TensorBoard's, and reading it needs tensorboard: pip install 'ridgeline[tensorboard]'."
        ) from None
    sizes = {"scalars": 0, "tensors": 0, "images": 1, "audio": 1, "histograms": 1, "compressedHistograms": 1}
    events: Any = EventAccumulator(str(path), size_guidance=sizes)
    try:
        events.Reload()
    except Exception as error:  # a damaged file can fail in any layer of the library
        raise RidgelineError(
            f"{path}: looked for events of TensorBoard, found {reason(error)}; give whole files."
        ) from None
    found = events.Tags()
    for tag in found["scalars"]:
        yield tag, [(float(event.step), float(event.value)) for event in events.Scalars(tag)]
    for tag in found["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            yield tag, [(float(e.step), float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]


def _is_curve(name: str) -> bool:
    said = recognise(name)
    return said is not None and said.kind in ("loss", "accuracy", "error")


def _frame(found: dict[str, list[tuple[float, float]]]) -> pl.DataFrame:
    """A row a point: curves need not share steps. NaN in a row of another tag is no value there."""
    rows = sum(len(points) for points in found.values())
    columns: dict[str, list[float | None]] = {name: [None] * rows for name in found}
    steps: list[float] = []
    for name, points in found.items():
        for step, value in points:
            columns[name][len(steps)] = value if not math.isnan(value) else math.nan
            steps.append(step)
    return pl.DataFrame(
        {"step": steps, **{k: pl.Series(k, v, dtype=pl.Float64) for k, v in columns.items() if k != "step"}}
    )
