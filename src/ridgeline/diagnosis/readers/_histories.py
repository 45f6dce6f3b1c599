"""From a table to histories: the columns chosen, numbers in their units, a history for each run."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from ridgeline.diagnosis._history import Curve, Floats, History, Role
from ridgeline.diagnosis.readers._cells import Numbers, numbers
from ridgeline.diagnosis.readers._choose import Choice, choose
from ridgeline.diagnosis.readers._groups import arm_and_run, with_groups
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._reshape import reshaped, runs_in_columns
from ridgeline.diagnosis.readers._steps import continued, covering, in_order, step_columns
from ridgeline.diagnosis.readers._table import Table, not_found, place
from ridgeline.diagnosis.readers._units import as_shares, without_fillers
from ridgeline.errors import RidgelineError


def histories(table: Table, columns: Mapping[Role, str]) -> list[History]:
    """The histories in a table.

    Raises:
        RidgelineError: where no column is a loss or an accuracy, or none of them holds a number.
    """
    wide = {} if columns else runs_in_columns(table.frame)
    if not wide:
        frame = table.frame if set(columns.values()) & set(table.frame.columns) else reshaped(table.frame)
        return _histories(replace(table, frame=frame), columns)
    found = []
    for name, frame in wide.items():
        arm, run = arm_and_run(name)
        found += _histories(replace(table, frame=frame, arm=arm or table.arm, run=run), columns)
    return found


def _histories(table: Table, columns: Mapping[Role, str]) -> list[History]:
    read: dict[str, Numbers] = {}

    def cells(name: str) -> Numbers:
        if name not in read:
            read[name] = numbers(table.frame[name])
        return read[name]

    def has_numbers(name: str) -> bool:
        return cells(name).values.null_count() < len(table.frame)

    chosen, notes = choose(table.frame.columns, has_numbers, columns)
    _must_have_curves(table, chosen, cells)
    curves: dict[str, pl.Series] = {}
    for role, choice in chosen.items():
        if not has_numbers(choice.column):
            raise _no_number(table, choice.column, cells(choice.column))
        values, said = as_shares(cells(choice.column), choice, role)
        notes += said
        if values is not None:
            curves[role] = values
    if not any(role.endswith(("loss", "accuracy")) for role in curves):
        raise RidgelineError(
            f"{table.source}: {notes[-1]}; log a loss beside it, or name one by columns={{…}}."
        )
    shared = (*table.notes, *notes)
    found = [replace(h, notes=(*shared, *h.notes)) for h in _split(table, chosen, curves)]
    if not found:
        raise RidgelineError(f"{table.source}: no row has both a step and a number; give every row its step.")
    return found


def _must_have_curves(table: Table, chosen: Mapping[Role, Choice], cells: Callable[[str], Numbers]) -> None:
    if any(role.endswith(("loss", "accuracy")) for role in chosen):
        return
    for name in table.frame.columns:
        said = recognise(name)
        if said is not None and said.kind in ("loss", "accuracy", "error"):
            raise _no_number(table, name, cells(name))
    raise not_found(table.source, None if table.first is None else table.first - 1, table.frame.columns)


def _no_number(table: Table, name: str, cells: Numbers) -> RidgelineError:
    if cells.first_text is None:
        where = place(table.source, table.first)
        rows = (
            "no row follows the header"
            if not len(table.frame)
            else f"{len(table.frame):,} rows have no number there"
        )
        return RidgelineError(
            f"{where}: looked for numbers in column {name!r}, and {rows}; log it at every step."
        )
    row, text = cells.first_text
    where = place(table.source, None if table.first is None else table.first + row)
    return RidgelineError(
        f"{where}: looked for a number in column {name!r}, found {text!r}; write numbers, or name another column, e.g. "
        f"columns={{'val_loss': 'NAME'}}."
    )


def _split(table: Table, chosen: Mapping[Role, Choice], curves: Mapping[str, pl.Series]) -> Iterator[History]:
    """One history for each run of each arm that has a number."""
    steps = step_columns(table.frame)
    used = pl.select(pl.any_horizontal(*(c.is_not_null() for c in curves.values()))).to_series()
    counted = covering(steps, used)
    epochs = next((c for name, c in steps.items() if _stem(name) == "epoch" and name != counted), None)
    frame = with_groups(table.frame).select("·arm", "·run").with_columns(**curves)
    if counted is not None:
        frame = frame.with_columns(steps[counted].alias("·step"))
        if epochs is not None:
            frame = frame.with_columns(epochs.alias("·epoch"))
    unit = "row" if counted is None else "epoch" if _stem(counted) == "epoch" else "step"
    for (arm, run), rows in frame.partition_by("·arm", "·run", maintain_order=True, as_dict=True).items():
        found, notes = _curves(rows, chosen, table.nan_is_missing)
        if found:
            yield History(found, arm or table.arm, run or table.run, unit, notes)


def _curves(
    rows: pl.DataFrame, chosen: Mapping[Role, Choice], nan_is_missing: bool
) -> tuple[dict[Role, Curve], tuple[str, ...]]:
    steps, note = _steps(rows)
    roles: list[Role] = [role for role in chosen if role in rows.columns]
    held = {role: rows[role].is_not_null().to_numpy() & np.isfinite(steps) for role in roles}
    values = {role: rows[role].to_numpy() for role in roles}
    held = without_fillers(held, values, nan_is_missing)
    found, notes = {}, dict.fromkeys([note] if note else [])
    for role in roles:
        if not held[role].any():
            continue
        places, note = in_order(steps[held[role]])
        found[role] = Curve.of(values[role][held[role]], places, chosen[role].column)
        if note:
            notes[note] = None
    return found, tuple(notes)


def _steps(rows: pl.DataFrame) -> tuple[Floats, str | None]:
    """The step of each row, NaN where it has none."""
    if "·step" not in rows.columns:
        return np.arange(1.0, len(rows) + 1.0), None
    steps = rows["·step"].to_numpy().astype(np.float64)
    if "·epoch" not in rows.columns:
        return steps, None
    epochs = rows["·epoch"].to_numpy().astype(np.float64)
    both = np.isfinite(steps) & np.isfinite(epochs)
    over = continued(steps[both], epochs[both]) if both.any() else None
    if over is None:
        return steps, None
    counted = np.full(len(steps), np.nan)
    counted[both] = over
    return counted, "the steps begin again in each epoch and were counted on over the epochs"


def _stem(name: str) -> str:
    said = recognise(name)
    return "" if said is None else said.stem
