"""Dicts and lists, from memory or JSON: columns, rows, log_history, runs inside runs."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from ridgeline.diagnosis.readers._columns import flat, is_column, of_rows, series
from ridgeline.diagnosis.readers._groups import ARMS, RUNS, SEEDS, arm_and_run
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._steps import evenly
from ridgeline.diagnosis.readers._table import LOOKED_FOR, Table, listed
from ridgeline.diagnosis.readers._words import SPLITS, words
from ridgeline.errors import RidgelineError

# Where a dict keeps its rows; others are searched too.
_ROWS = ("log_history", "history", "logs", "log", "metrics", "records", "rows", "results", "data")
# What the Trainer of Hugging Face writes once, at the end: means over the whole run.
SUMMARY = ("train_runtime", "train_samples_per_second")
_DEEPEST = 6


def tables(value: Any, source: str, run: str = "", deep: int = 0) -> list[Table]:
    """The tables in a value of dicts and lists.

    Raises:
        RidgelineError: where there is none.
    """
    if isinstance(value, Mapping):
        found = _of_dict(value, source, run, deep)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        found = _of_list(value, source, run, deep)
    else:
        found = []
    if not found and deep == 0:
        keys = list(map(str, flat(value))) if isinstance(value, Mapping) else [type(value).__name__]
        raise RidgelineError(
            f"{source}: looked for lists of numbers by name, or a list of rows, with {LOOKED_FOR}; found "
            f"{listed(keys)}; give e.g. {{'loss': […], 'val_loss': […]}}."
        )
    return found


def _of_list(value: Sequence[Any], source: str, run: str, deep: int) -> list[Table]:
    dicts = [one for one in value if isinstance(one, Mapping)]
    if not dicts or 2 * len(dicts) < len(value):
        return []
    if any(is_column(cell) and len(cell) > 1 for one in dicts[:3] for cell in flat(one).values()) or any(
        _rows_of(one) is not None for one in dicts[:3]
    ):
        found = [
            tables(one, source, run or str(place + 1), deep + 1)
            for place, one in enumerate(dicts)
            if deep < _DEEPEST
        ]
        return [table for some in found for table in some]
    kept = [row for row in dicts if not any(key in row for key in SUMMARY)]
    return [Table(of_rows(kept), source, run=run)] if kept else []


def _of_dict(value: Mapping[Any, Any], source: str, run: str, deep: int) -> list[Table]:
    arm, run = _named(value, run)
    rows = _rows_of(value)
    if rows is not None:
        return [_renamed(table, arm) for table in _of_list(rows, source, run, deep + 1)]
    epochs = _by_epoch(value)
    if epochs:
        return [Table(of_rows(epochs), source, arm=arm, run=run)]
    inside = {
        str(k): v for k, v in value.items() if isinstance(v, (Mapping, list, tuple)) and not is_column(v)
    }
    columns = {name: cells for name, cells in flat(value).items() if is_column(cells)}
    if inside and not _is_split(inside) and deep < _DEEPEST:
        found = {name: _inside(one, source, name, deep) for name, one in inside.items()}
        if not any(_is_curve(name) for name in value) and any(found.values()):
            return [_renamed(replace(t, run=t.run or run), arm) for some in found.values() for t in some]
    if columns and any(len(cells) for cells in columns.values()):
        return [Table(_frame(columns), source, arm=arm, run=run, notes=_lengths(columns))]
    scalars = {name: cell for name, cell in flat(value).items() if isinstance(cell, (int, float))}
    return [Table(of_rows([scalars]), source, arm=arm, run=run)] if any(map(_is_curve, scalars)) else []


def _inside(value: Any, source: str, name: str, deep: int) -> list[Table]:
    """The tables of one key, if it names a run or a folder of runs."""
    arm, run = arm_and_run(name)
    found = tables(value, source, run, deep + 1)
    found = [t for t in found if any(_is_curve(c) for c in t.frame.columns)]
    plain = name.lower() in (*_ROWS, "runs", "trials", "arms")
    return found if plain else [_renamed(table, arm) for table in found]


def _renamed(table: Table, arm: str) -> Table:
    return replace(table, arm=" ".join(part for part in (arm, table.arm) if part))


def _rows_of(value: Mapping[Any, Any]) -> Sequence[Any] | None:
    for key in _ROWS:
        rows = value.get(key)
        if isinstance(rows, (list, tuple)) and rows and all(isinstance(row, Mapping) for row in rows):
            return rows
    return None


def _by_epoch(value: Mapping[Any, Any]) -> list[dict[str, Any]]:
    """The rows of {"1": {"loss": …}, "epoch 2": {…}}; none for another dict."""
    keys = [
        re.fullmatch(r"(?:epoch|step|iter(?:ation)?)?[\s_\-]*(\d{1,9})", str(key), re.IGNORECASE)
        for key in value
    ]
    rows = [flat(row) for row in value.values() if isinstance(row, Mapping)]
    if not rows or len(rows) < len(keys) or any(is_column(cell) for row in rows for cell in row.values()):
        return []
    if not all(keys) or not any(_is_curve(name) for row in rows for name in row):
        return []
    return [{"epoch": int(key[1]), **row} for key, row in zip(keys, rows, strict=True) if key is not None]


def _named(value: Mapping[Any, Any], run: str) -> tuple[str, str]:
    """Which arm and run a dict says it is."""
    arm = ""
    for key, cell in value.items():
        said = " ".join(words(str(key)[:60]))
        if isinstance(cell, (str, int)) and not isinstance(cell, bool):
            arm = arm or (str(cell) if said in ARMS else "")
            run = str(cell) if said in SEEDS or (said in RUNS and not run) else run
    return arm, run


def _frame(columns: Mapping[str, Any]) -> pl.DataFrame:
    """Columns of one length; shorter ones get their values at even places among the rows of the longest."""
    lengths = [len(cells) for cells in columns.values() if len(cells)]
    height, found = max(lengths), []
    for name, cells in columns.items():
        column = series(name, cells)
        if len(column) != height:
            spread: list[Any] = [None] * height
            for row, cell in zip(evenly(lengths, len(column)), column.to_list(), strict=True):
                spread[min(height, math.ceil(row - 1e-9)) - 1] = cell
            column = pl.Series(name, spread, dtype=column.dtype)
        found.append(column)
    return pl.DataFrame(found)


def _lengths(columns: Mapping[str, Any]) -> tuple[str, ...]:
    longest = max(columns, key=lambda name: len(columns[name]))
    height = len(columns[longest])
    return tuple(
        f"{name!r} has {len(cells)} points and {longest!r} {height}: they were spread evenly over the same steps"
        for name, cells in columns.items()
        if 0 < len(cells) < height and recognise(name) is not None
    )


def _is_split(inside: Mapping[str, Any]) -> bool:
    """Whether the keys are {"train": …, "val": …} or metrics, parts of one history."""
    return all(any(word in SPLITS for word in words(name[:60])) or _is_curve(name) for name in inside)


def _is_curve(name: Any) -> bool:
    said = recognise(str(name))
    return said is not None and said.kind in ("loss", "accuracy", "error")
