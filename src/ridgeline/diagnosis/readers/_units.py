"""Units: accuracies as shares, losses as they are, and the NaN that only fills a cell."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from ridgeline.diagnosis._history import Floats, Role
from ridgeline.diagnosis.readers._cells import Numbers
from ridgeline.diagnosis.readers._choose import Choice

# Rounding, as of 100.00001 %, is forgiven; half a percent above 1 is a percentage.
_ROUNDING = 1e-3


def as_shares(cells: Numbers, choice: Choice, role: Role) -> tuple[pl.Series | None, list[str]]:
    """The numbers of a role in its unit, and notes; None where they cannot be what their name says.

    Accuracies become shares in [0, 1]. Judged over all runs of a file: one of them may never pass 1 %.
    """
    values = cells.values
    if choice.is_perplexity:
        return _logarithm(values), []
    if not role.endswith("accuracy"):
        return values, []
    finite = values.filter(values.is_finite())
    if not len(finite):
        return values, []
    low, high = float(finite.min()), float(finite.max())  # type: ignore[arg-type]  # of numbers, so numbers
    if low < -_ROUNDING or high > 100 * (1 + _ROUNDING):
        return None, [
            f"{choice.column!r} runs from {low:g} to {high:g}, neither shares nor percentages: left out"
        ]
    notes = []
    if high > 1 + _ROUNDING:
        values, notes = hundredths(values), [f"{role} is in percent and was divided by 100"]
    elif cells.percent:
        notes = [f"{role} is in percent and was divided by 100"]
    values = pl.select(pl.when(values.is_finite()).then(values.clip(0.0, 1.0)).otherwise(values)).to_series()
    return (1 - values if choice.is_error else values), notes


def hundredths(values: pl.Series) -> pl.Series:
    """A hundredth of each. By one number polars multiplies with its inverse, which makes 70 % 0.7000000000000001."""
    return values / pl.repeat(100.0, len(values), eager=True)


def _logarithm(values: pl.Series) -> pl.Series:
    """Of a perplexity; what is not positive has none."""
    return pl.select(
        pl.when(values > 0).then(values.log()).when(values.is_not_null()).then(float("nan"))
    ).to_series()


def without_fillers(
    held: Mapping[Role, npt.NDArray[np.bool_]], values: Mapping[Role, Floats], nan_is_missing: bool
) -> dict[Role, npt.NDArray[np.bool_]]:
    """Which cells count: a NaN is evidence, unless it fills the rows between a curve's points.

    Args:
        held: which cells hold something, shape (rows,) each.
        values: shape (rows,) each.
        nan_is_missing: the source writes NaN where it has no number. Then one counts only where all losses are
            NaN up to the end of the table: there training broke.
    """
    found = {}
    broken: npt.NDArray[np.bool_] | None = None
    if nan_is_missing:
        losses = [np.isnan(values[role]) for role in values if role.endswith("loss")]
        together = np.logical_and.reduce(losses) if losses else np.zeros(0, dtype=bool)
        tail = np.logical_and.accumulate(together[::-1])[::-1]
        broken = tail if losses and all((np.isnan(v) & ~tail).sum() == 0 for v in _losses(values)) else None
    for role, cells in held.items():
        nan = np.isnan(values[role]) & cells
        if nan_is_missing:
            keep = broken if broken is not None else np.zeros(len(cells), dtype=bool)
            found[role] = cells & (~nan | keep)
        elif _fills(nan[cells]):
            found[role] = cells & ~nan
        else:
            found[role] = cells
    return found


def _losses(values: Mapping[Role, Floats]) -> list[Floats]:
    return [v for role, v in values.items() if role.endswith("loss")]


def _fills(nan: npt.NDArray[np.bool_]) -> bool:
    """Whether NaN stand between numbers again and again, and no longer at the end than there."""
    if 2 * nan.sum() < len(nan) or not nan.any() or nan.all():
        return False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], nan, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    inside = ends < len(nan)
    last = 0 if inside.all() else int(ends[-1] - starts[-1])
    return int(inside.sum()) >= 2 and last <= int((ends - starts)[inside].max())
