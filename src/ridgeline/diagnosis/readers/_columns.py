"""Python's own values as columns: lists, arrays, tensors, rows that are dicts."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl

# Nested dicts are flattened this deep; what lies deeper is no log.
_DEEPEST = 6


def series(name: str, values: Any) -> pl.Series:
    """A column of numbers where every value is one or None, else of text.

    Args:
        values: a list, an array, a tensor or a polars Series, of one dimension.

    Example:
        >>> series("loss", [1, None, float("nan")]).to_list()
        [1.0, None, nan]
    """
    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiub":
        return pl.Series(name, values.astype(np.float64))
    found = [_value(value) for value in (values.tolist() if hasattr(values, "tolist") else values)]
    if any(isinstance(value, str) for value in found):
        return pl.Series(name, [None if v is None else str(v) for v in found], dtype=pl.String)
    return pl.Series(name, found, dtype=pl.Float64)


def _value(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:  # numbers of NumPy, torch, jax
        value = value.item()
    if hasattr(value, "numpy") and callable(value.numpy):
        value = np.asarray(value.numpy()).reshape(-1)
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) == 1:  # "acc": [0.34]
        return _value(value[0])
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return None


def is_column(value: Any) -> bool:
    """Whether a value is a list or an array of numbers, not a text and not a table."""
    if isinstance(value, (str, bytes, Mapping)):
        return False
    if isinstance(value, (list, tuple)):
        return not any(
            isinstance(one, Mapping) or (isinstance(one, (list, tuple)) and len(one) != 1) for one in value
        )
    return isinstance(value, pl.Series) or getattr(value, "ndim", None) == 1


def flat(row: Mapping[Any, Any], before: str = "", deep: int = 0) -> dict[str, Any]:
    """A dict without dicts inside: {"train": {"loss": 1}} becomes {"train/loss": 1}."""
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and deep < _DEEPEST:
            found |= flat(value, f"{name}/", deep + 1)
        else:
            found[name] = value
    return found


def of_rows(rows: Iterable[Mapping[Any, Any]]) -> pl.DataFrame:
    """A frame of row dicts, whatever keys each has; a key that is missing or None says nothing."""
    cells: dict[str, list[Any]] = {}
    height = 0
    for row in rows:
        for name, value in flat(row).items():
            column = cells.get(name)
            if column is None:
                column = cells[name] = []
            if len(column) <= height:
                column.extend([None] * (height - len(column)))
                column.append(value)
        height += 1
    for column in cells.values():
        column.extend([None] * (height - len(column)))
    return pl.DataFrame([series(name, column) for name, column in cells.items()])
