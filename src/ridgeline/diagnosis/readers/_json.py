"""JSON and JSON lines, NaN and Infinity included."""

import json
from dataclasses import replace
from typing import Any

from ridgeline.diagnosis.readers import _nested
from ridgeline.diagnosis.readers._table import Table
from ridgeline.errors import RidgelineError, reason


def read_json(text: str, source: str) -> list[Table]:
    """The tables of a JSON file.

    Raises:
        RidgelineError: for a file that is no JSON, with the line where it broke, or holds no curve.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RidgelineError(
            f"{source}, line {error.lineno:,}: looked for JSON, which breaks there ({error.msg.lower()}); write "
            f"it again, or say format='jsonl' or format='log' if that is what it is."
        ) from None
    except (RecursionError, ValueError) as error:  # a number of thousands of digits
        what = "lists inside lists without end" if isinstance(error, RecursionError) else reason(error)
        raise RidgelineError(
            f"{source}, line 1: looked for JSON of curves, found {what}; save the curves alone."
        ) from None
    return _nested.tables(value, source)


def read_json_lines(text: str, source: str) -> list[Table]:
    """The table of a file with one JSON object a line; a last line that was cut off is left out.

    Raises:
        RidgelineError: for a line that is no JSON object, with its number.
    """
    rows, notes = [], []
    lines = text.splitlines()
    last = max((place for place, line in enumerate(lines) if line.strip()), default=-1)
    for place, line in enumerate(lines):
        if not line.strip():
            continue
        row = _row(line)
        if isinstance(row, dict):
            rows.append(row)
        elif place == last and rows:
            notes.append(f"line {place + 1:,} is cut off and was left out")
        else:
            raise RidgelineError(
                f"{source}, line {place + 1:,}: looked for a JSON object, found {line.strip()[:40]!r}; mend or remove "
                f"the line, or say format='log' if it is a printed log."
            )
    return [replace(table, notes=(*notes, *table.notes)) for table in _nested.tables(rows, source)]


def _row(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
