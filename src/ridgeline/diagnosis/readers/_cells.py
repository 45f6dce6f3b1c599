"""Cells to numbers: what is missing, what says NaN, what is a percentage."""

from dataclasses import dataclass

import polars as pl

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
# "[0.34]", "tensor(0.5, device='cuda:0')", "83.4 %", "'0.5'"
_WRAPPED = (
    rf"^['\"\s\[(]*(?:[\w.]*(?:tensor|float\d*|array)\([\[\s]*)?({_NUMBER}|[-+]?nan|[-+]?inf)\s*(%?)[^\w%]*"
)
_WRAPPED += r"(?:(?:device|dtype|grad_fn|shape|requires_grad)=.*)?$"
_COMMA = r"^\s*[-+]?\d+,\d+(?:[eE][-+]?\d+)?\s*%?\s*$"


@dataclass(frozen=True)
class Numbers:
    """A column as numbers.

    Attributes:
        values: Float64; null where the cell says nothing or no number, NaN and infinities where it says so.
        percent: whether cells were written with a percent sign; they are divided by 100.
        first_text: the row and the text of the first cell that is neither empty nor a number.
    """

    values: pl.Series
    percent: bool = False
    first_text: tuple[int, str] | None = None


def numbers(column: pl.Series) -> Numbers:
    """The numbers of a column of any type.

    Example:
        >>> numbers(pl.Series(["0.5", "", "nan", "[0.25]", "80 %"])).values.to_list()
        [0.5, None, nan, 0.25, 0.8]
    """
    dtype = column.dtype
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
        return Numbers(column.cast(pl.Float64, strict=False))
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype != pl.String:  # dates, lists, objects: no numbers
        first = column.is_not_null().arg_max() if len(column) else None
        shown = (
            None if first is None or column.null_count() == len(column) else (first, str(column[first])[:40])
        )
        return Numbers(pl.Series(column.name, [None] * len(column), dtype=pl.Float64), first_text=shown)
    return _of_text(column)


def _of_text(column: pl.Series) -> Numbers:
    plain = column.str.strip_chars().cast(pl.Float64, strict=False)
    odd = plain.is_null() & column.is_not_null()
    if not odd.any():
        return Numbers(plain)
    rows = odd.arg_true()
    rest = column.gather(rows)
    if rest.str.contains(_COMMA).all():  # a decimal comma, everywhere or nowhere
        rest = rest.str.replace(",", ".", literal=True)
    inner = rest.str.extract(f"(?i){_WRAPPED}", 1).cast(pl.Float64, strict=False)
    percent = rest.str.extract(f"(?i){_WRAPPED}", 2) == "%"
    share = percent.fill_null(False)
    hundreds = pl.repeat(
        100.0, len(inner), eager=True
    )  # by one number polars would multiply with its inverse
    found = pl.select(pl.when(share).then(inner / hundreds).otherwise(inner)).to_series()
    text = found.is_null() & ~rest.str.strip_chars().str.to_lowercase().is_in(_EMPTY)
    first = text.arg_max() if text.any() else None
    return Numbers(
        plain.scatter(rows, found),
        percent=bool(share.any()),
        first_text=None if first is None else (rows[first], rest[first].strip()[:40]),
    )


_EMPTY = ["", "-", "--", "na", "n/a", "null", "none", "nil", "missing", '""', "''", "."]
