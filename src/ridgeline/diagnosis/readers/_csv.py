"""CSV with any delimiter: the header is found by its names, and only the columns that may matter are read."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ridgeline.diagnosis._history import Role
from ridgeline.diagnosis.readers import _reshape
from ridgeline.diagnosis.readers._decode import decode
from ridgeline.diagnosis.readers._groups import ARMS, RUNS, SEEDS
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._table import Table, not_found
from ridgeline.diagnosis.readers._words import words

DELIMITERS = (",", ";", "\t", "|")
# A header stands among the first lines; comments may come before it.
_SEARCHED = 50
# "loss: 0.3" and "train loss 0.3" are no names but a line of a printed log.
_VALUE = re.compile(r"[:=]\s*[\[('\"]*[-+]?(?:[\d.]|nan|inf)|\s[-+]?\d*\.\d", re.IGNORECASE)
_KEPT = {*ARMS, *SEEDS, *RUNS, *_reshape.PHASES, *_reshape.KEYS, *_reshape.VALUES}


@dataclass(frozen=True)
class Header:
    """Where the names stand: line, counted from 0, delimiter, the cells."""

    line: int
    delimiter: str
    names: tuple[str, ...]


def find_header(head: str, given: Mapping[Role, str]) -> Header | None:
    """The first line with the name of a curve, and the delimiter that cuts most known names out of it."""
    asked = _asked(given)
    for number, line in enumerate(head.split("\n")[:_SEARCHED]):
        text = line.lstrip("# ") if line.lstrip().startswith("#") else line
        best: tuple[int, Header] | None = None
        for delimiter in DELIMITERS:
            names = _cells(text, delimiter)
            score = sum(_is_known(name) or name.lower() in asked for name in names)
            curves = sum(_is_curve(name) or name.lower() in asked for name in names)
            long = any(_said(n) in _reshape.VALUES for n in names) and any(
                _said(n) in _reshape.KEYS for n in names
            )
            if (curves or long) and (len(names) > 1 or _is_name(text)) and (best is None or score > best[0]):
                best = (score, Header(number, delimiter, tuple(names)))
        if best is not None:
            return best[1]
    return None


def read_csv(content: bytes | Path, head: str, source: str, given: Mapping[Role, str]) -> Table:
    """The table in a file.

    Args:
        content: a path where polars may read the file itself, else its bytes as UTF-8.
        head: the beginning of its text.

    Raises:
        RidgelineError: without a header that names a curve.
    """
    header = find_header(head, given)
    if header is None:
        lines = [line for line in head.splitlines() if line.strip()]
        first = lines[0] if lines else ""
        delimiter = max(DELIMITERS, key=first.count)
        raise not_found(source, 1, _cells(first, delimiter))
    wanted = {name for name in header.names if _is_known(name) or name.lower() in _asked(given)}
    places = sorted(header.names.index(name) for name in wanted)
    frame = _frame(content, header, places)
    frame = frame.rename(dict(zip(frame.columns, [header.names[i] for i in places], strict=True)))
    doubled = {name for name in header.names if name and header.names.count(name) > 1}
    notes = tuple(
        f"column {name!r} stands in the header more than once; the first was taken"
        for name in sorted(doubled)
    )
    return Table(frame, source, first=header.line + 2, notes=notes)


def _frame(content: bytes | Path, header: Header, places: Sequence[int]) -> pl.DataFrame:
    """The chosen columns as text. Quotes that do not close are read as what they are."""
    for quote in ('"', None):
        try:
            frame = pl.read_csv(
                content if isinstance(content, Path) else io.BytesIO(content),
                columns=list(places),
                separator=header.delimiter,
                skip_lines=header.line,
                quote_char=quote,
                infer_schema=False,
                truncate_ragged_lines=True,
                encoding="utf8-lossy",
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        if frame.width == len(places):
            return frame
    return _by_hand(content, header, places)


def _by_hand(content: bytes | Path, header: Header, places: Sequence[int]) -> pl.DataFrame:
    """For what polars refuses: lines cut at the delimiter."""
    raw = content.read_bytes() if isinstance(content, Path) else content
    rows = [line.split(header.delimiter) for line in decode(raw, "").split("\n")[header.line + 1 :]]
    return pl.DataFrame(
        {str(i): [row[i] if i < len(row) else None for row in rows] for i in places},
        schema={str(i): pl.String for i in places},
    )


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        cells = line.split(delimiter)
    return [cell.strip() for cell in cells]


def _asked(given: Mapping[Role, str]) -> set[str]:
    return {str(name).strip().lower() for name in given.values()}


def _said(name: str) -> str:
    return " ".join(words(name[:60]))


def _is_known(name: str) -> bool:
    return recognise(name) is not None or _said(name) in _KEPT or _runs_in(name)


def _runs_in(name: str) -> bool:
    return bool(_reshape.WANDB.match(name)) and _is_curve(name)


def _is_curve(name: str) -> bool:
    wide = _reshape.WANDB.match(name)
    metric = name if wide is None else wide["metric"]
    said = recognise(metric)
    return said is not None and said.kind != "step" and _VALUE.search(metric) is None


def _is_name(text: str) -> bool:
    """Whether one cell is a header by itself."""
    return len(text) <= 60 and not any(sign in text for sign in ":=[]{}0123456789")


def utf8(text: str) -> bytes:
    """A decoded file as polars reads it."""
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", errors="replace")
