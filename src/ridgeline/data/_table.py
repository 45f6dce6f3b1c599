"""A person's own table: CSV, Parquet or NPZ, numeric columns, one of them the target."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch

from ridgeline.data._examples import ArrayExamples, Task, target_tensor
from ridgeline.data._splits import Source, Splits
from ridgeline.errors import RidgelineError, nearest

_FORMATS = (".csv", ".parquet", ".npz")


def table(file: Path, target: str, task: Task | None = None) -> Source:
    """A source that reads a table; every seed sees the same rows, in the file's order.

    Args:
        file: .csv or .parquet with numeric columns, or .npz with the array `target` and one array of
            inputs (or several 1-d ones).
        target: the column to predict. Text, booleans and whole numbers are classes, other numbers a
            regression target, unless `task` says otherwise.

    Raises:
        RidgelineError: for a missing or unreadable file, no such column, text or missing values.
    """
    if not file.is_file():
        raise RidgelineError(f"data.file: {file} does not exist; check the path.")
    if file.suffix not in _FORMATS:
        raise RidgelineError(
            f"data.file: {file.name} ends in {file.suffix!r}; allowed: {', '.join(_FORMATS)}."
        )
    x, y = _read_npz(file, target) if file.suffix == ".npz" else _read_frame(file, target)
    chosen = task or ("regression" if y.dtype.kind == "f" and not _whole(y) else "classification")
    if chosen == "classification":
        if y.size != len(y):
            raise RidgelineError(
                f"{file.name}: target {target!r} has shape {y.shape}; classes are one a row."
            )
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) == 1:
            raise RidgelineError(
                f"{file.name}: {target!r} is the same in all rows, so there is nothing to learn; check the target."
            )
        if len(classes) > max(2, len(y) // 2):
            raise RidgelineError(
                f"{file.name}: {target!r} has {len(classes)} distinct values in {len(y)} rows, too many for "
                f"classes; say task: regression."
            )
        y = codes.astype(np.int64)
    elif y.dtype.kind not in "biuf":
        raise RidgelineError(f"{file.name}: target {target!r} is text; a regression target must be a number.")
    else:
        y = _float32(y, file, target)
    inputs = torch.from_numpy(_float32(x, file, "the inputs"))
    rows = ArrayExamples(inputs, target_tensor(y, chosen), torch.arange(len(y)))
    return lambda seed: Splits(train=rows, task=chosen)


def _float32(part: npt.NDArray[Any], file: Path, name: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):
        narrow = np.require(part, np.float32, ("C", "W"))
    if not np.isfinite(narrow).all():
        raise RidgelineError(
            f"{file.name}: {name!r} holds numbers beyond ±3.4e38, float32's range; rescale it."
        )
    return narrow


def _whole(y: npt.NDArray[Any]) -> bool:
    return bool((y == np.round(y)).all()) and len(np.unique(y)) <= 20


def _read_frame(file: Path, target: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        frame = (
            pl.read_parquet(file)
            if file.suffix == ".parquet"
            else pl.read_csv(file, infer_schema_length=None)
        )
    # A damaged Parquet file can end in a panic of polars, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RidgelineError(
            f"data.file: {file} cannot be read as {file.suffix[1:]} ({reason}); check the file."
        ) from None
    if target not in frame.columns:
        raise RidgelineError(
            f"data.target: {file.name} has no column {target!r}; {nearest(target, frame.columns)}"
        )
    if len(frame.columns) < 2 or not len(frame):
        raise RidgelineError(
            f"{file.name} has {len(frame.columns)} columns and {len(frame)} rows; a target, at least one "
            f"input column and some rows are needed."
        )
    for name in frame.columns:
        column = frame[name]
        if name != target and not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise RidgelineError(
                f"{file.name}: column {name!r} is {column.dtype}, not numeric; encode it as numbers or drop it."
            )
        if column.dtype.is_nested():
            raise RidgelineError(
                f"{file.name}: column {name!r} is {column.dtype}; a target is one value a row."
            )
        missing = column.is_null()
        if column.dtype.is_float():
            missing = missing | column.is_nan().fill_null(True) | column.is_infinite().fill_null(True)
        if missing.any():
            raise RidgelineError(
                f"{file.name}: column {name!r} is missing, NaN or infinite in {missing.sum()} of {len(frame)} "
                f"rows, first in row {missing.arg_max()}; fill or drop these rows."
            )
    return frame.drop(target).cast(pl.Float64).to_numpy(), frame[target].to_numpy()


def _read_npz(file: Path, target: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    try:
        with file.open("rb") as handle, np.load(handle, allow_pickle=False) as stored:
            arrays = {name: np.asarray(stored[name]) for name in stored.files}
    except Exception as error:  # a damaged archive can fail in any of its layers
        raise RidgelineError(
            f"data.file: {file} cannot be read as npz ({error}); save it by numpy.savez, without objects."
        ) from None
    if target not in arrays:
        raise RidgelineError(f"data.target: {file.name} has no array {target!r}; {nearest(target, arrays)}")
    y = arrays.pop(target)
    if not arrays:
        raise RidgelineError(f"{file.name} holds nothing but {target!r}; add an array of inputs.")
    if len(arrays) > 1 and any(a.ndim != 1 for a in arrays.values()):
        raise RidgelineError(
            f"{file.name} holds several input arrays ({', '.join(arrays)}); keep one, or make them all 1-d."
        )
    lengths = {len(a) for a in arrays.values()} if len(arrays) > 1 else set()
    if len(lengths) > 1:
        raise RidgelineError(f"{file.name}: rows must be equal in all arrays, they are {sorted(lengths)}.")
    x = next(iter(arrays.values())) if len(arrays) == 1 else np.stack(list(arrays.values()), 1)
    if x.ndim == 1:
        x = x[:, None]
    for part, name in ((x, "the inputs"), (y, target)):
        if part.ndim == 0 or len(part) != len(x) or not len(part):
            raise RidgelineError(
                f"{file.name}: {name!r} has shape {part.shape}; rows must be equal in all arrays."
            )
        if part.dtype.kind not in "biuf" and not (name == target and part.dtype.kind in "US"):
            raise RidgelineError(f"{file.name}: {name!r} is {part.dtype}, not numeric; encode it.")
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise RidgelineError(
                f"{file.name}: {name!r} is NaN or infinite in places; fill or drop these rows."
            )
    return x, y
