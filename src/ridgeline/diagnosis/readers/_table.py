"""A table as a reader hands it on, and the sentences for what cannot be read."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import polars as pl

from ridgeline.errors import RidgelineError

LOOKED_FOR = "a loss or an accuracy (loss, train_loss, val_loss, valid loss, eval_loss, acc, val_accuracy, …)"


@dataclass(frozen=True)
class Table:
    """Rows of a log, columns as the log names them; a null is a cell that says nothing.

    Attributes:
        source: what messages call it.
        first: the line of the first row, where rows are lines of a file.
        arm, run: where the place says so, as the folder of an event file.
        nan_is_missing: whether the source writes NaN where it has no number, as pandas does.
    """

    frame: pl.DataFrame
    source: str
    first: int | None = None
    arm: str = ""
    run: str = ""
    notes: tuple[str, ...] = field(default=())
    nan_is_missing: bool = False


def listed(names: Iterable[str], most: int = 12) -> str:
    """Names in a sentence.

    Example:
        >>> listed(["a", "b"])
        "'a', 'b'"
    """
    shown = [name if len(name) <= 60 else name[:57] + "…" for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return (", ".join(repr(name) for name in shown[:most]) + more) if shown else "none"


def not_found(source: str, line: int | None, names: Iterable[str]) -> RidgelineError:
    """No column is a curve."""
    found = [name for name in names if name.strip()]
    example = repr(found[-1] if len(found[-1]) <= 60 else found[-1][:57] + "…") if found else "'NAME'"
    return RidgelineError(
        f"{place(source, line)}: looked for {LOOKED_FOR}, found the columns {listed(found)}; name them, e.g. "
        f"columns={{'val_loss': {example}}}."
    )


def empty(source: str) -> RidgelineError:
    """A file without a word."""
    return RidgelineError(f"{source}, line 1: the file is empty; give a log with at least one row.")


def place(source: str, line: int | None) -> str:
    """The file, and the line where it broke."""
    return source if line is None else f"{source}, line {line:,}"
