"""Printed logs: lines of words and numbers, progress bars, tables of columns set apart by spaces."""

import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from ridgeline.diagnosis._history import Role
from ridgeline.diagnosis.readers._bars import last_of_bars
from ridgeline.diagnosis.readers._line import Line, parse
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._nested import SUMMARY
from ridgeline.diagnosis.readers._table import LOOKED_FOR, Table
from ridgeline.errors import RidgelineError

# A head of a table has names, and neither numbers nor what stands before them.
_NO_HEADER = re.compile(r"(?:^|\s)[-+]?\d|\d\.\d|[:=]")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x08+")
_KINDS = ("step", "iter", "batch", "epoch")


def read_log(text: str, source: str, given: Mapping[Role, str]) -> Table:
    """The table of a printed log: a row for each line, or each state of a progress bar, that has a metric.

    Raises:
        RidgelineError: where no line has one.
    """
    text = _COLOURS.sub("", text)
    extra = frozenset(str(name).strip().lower() for name in given.values())
    rows: list[Line] = []
    first: int | None = None
    now: dict[str, float] = {}
    for number, line in _lines(text, extra):
        now |= line.steps
        if line.values:
            first = number if first is None else first
            line.steps = dict(now)
            rows.append(line)
    if not rows or first is None:
        shown = next(
            ((n, line.strip()) for n, line in enumerate(text.splitlines(), 1) if line.strip()), (1, "")
        )
        raise RidgelineError(
            f"{source}, line {shown[0]:,}: looked for lines with {LOOKED_FOR}, as 'epoch 3, loss 0.5, val loss 0.6', "
            f"found none, the first is {shown[1][:60]!r}; give a log with such lines, or "
            f"columns={{'val_loss': 'NAME'}}."
        )
    return Table(_frame(last_of_bars(rows)), source)


def _lines(text: str, extra: frozenset[str]) -> Iterator[tuple[int, Line]]:
    """The lines, numbered from 1; rows of a table under a header as if each number had its name before it."""
    header: list[str] = []
    for number, whole in enumerate(text.split("\n"), 1):
        for part in whole.split("\r"):
            if not part.strip() or any(word in part for word in SUMMARY):
                continue
            if _NO_HEADER.search(part) is None and _is_header(_cells(part), extra):
                header = _cells(part)
                continue
            if header and set(part) <= set("-=+| \t─━┼│:"):
                continue
            row = _row(header, part, extra)
            if row is None:
                header = []
            yield number, parse(part, extra) if row is None else row


def _cells(line: str) -> list[str]:
    """A line cut into cells, at bars, tabs and two spaces, or at each space where there are no such."""
    bare = line.strip().strip("|│#")
    cells = [cell.strip() for cell in re.split(r"\s{2,}|\t|\s*[|│]\s*", bare.strip())]
    return cells if len(cells) > 1 else bare.split()


def _is_header(cells: Sequence[str], extra: frozenset[str]) -> bool:
    """Whether a line is the head of a table: names of metrics and no number."""
    if not 2 <= len(cells) <= 60:
        return False
    said = [recognise(cell) for cell in cells]
    curves = sum(one is not None and one.kind != "step" for one in said)
    curves += sum(cell.lower() in extra for cell in cells)
    steps = sum(one is not None and one.kind == "step" for one in said)
    return bool(curves and curves + steps >= 2)


def _row(header: Sequence[str], text: str, extra: frozenset[str]) -> Line | None:
    """The row of a table; None where the line is none."""
    if not header:
        return None
    cells = _cells(text)
    if len(cells) != len(header):
        cells = text.split()
        if len(cells) != len(header):
            return None
    found = Line()
    for name, cell in zip(header, cells, strict=True):
        said = recognise(name)
        if said is None and name.lower() not in extra:
            continue
        try:
            value = float(cell.rstrip("%"))
        except ValueError:
            continue
        if said is not None and said.kind == "step":
            found.steps[said.stem] = value
        else:
            found.values[name] = value / 100 if cell.endswith("%") else value
    return found if found.values else None


def _frame(rows: Sequence[Line]) -> pl.DataFrame:
    """One column a name, one a kind of step."""
    cells: dict[str, tuple[list[int], list[float]]] = {}
    for place, line in enumerate(rows):
        for name, value in (*line.steps.items(), *line.values.items()):
            places, values = cells.setdefault(name, ([], []))
            places.append(place)
            values.append(value)
    named = sorted(cells, key=lambda name: name not in _KINDS)
    return pl.DataFrame([_column(name, *cells[name], len(rows)) for name in named])


def _column(name: str, places: Sequence[int], values: Sequence[float], height: int) -> pl.Series:
    found: list[float | None] = [None] * height
    for place, value in zip(places, values, strict=True):
        found[place] = value
    return pl.Series(name, found, dtype=pl.Float64)
