"""Folders: Ridgeline's own runs, those of Lightning and Hugging Face, TensorBoard's; and Parquet tables."""

import re
from pathlib import Path

import polars as pl

from ridgeline.diagnosis.readers._table import Table
from ridgeline.errors import RidgelineError, reason

# In the order that they are looked for.
_KNOWN = ("metrics.csv", "trainer_state.json")


def read_parquet(path: Path) -> Table:
    """A Parquet table; Ridgeline's curves.parquet gets arm and seed from the trials.parquet beside it.

    Raises:
        RidgelineError: for a file that is no Parquet.
    """
    frame = _frame(path)
    trials = path.with_name("trials.parquet")
    if path.name == "curves.parquet" and "trial_id" in frame.columns and trials.is_file():
        known = _frame(trials)
        if {"trial_id", "arm", "seed"} <= set(known.columns):
            # A trial that shows in two arms is in both; the order is that of the arms.
            frame = known.select("trial_id", "arm", "seed").join(
                frame, on="trial_id", maintain_order="left_right"
            )
    return Table(frame, str(path))


def _frame(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    # A damaged Parquet file can end in a panic of polars, which is no Exception.
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise RidgelineError(
            f"{path}: looked for a Parquet table, found {reason(error)}; write it again."
        ) from None


def files_in(folder: Path) -> list[Path]:
    """The logs in a folder: a run's own, or those of the runs below it, one each; none where no name is known."""
    for name in ("curves.parquet", *_KNOWN):
        if (folder / name).is_file():
            return [folder / name]
    for name in _KNOWN:
        found = sorted(folder.glob(f"*/{name}"), key=_natural) or sorted(
            folder.glob(f"*/*/{name}"), key=_natural
        )
        if found:
            # Each checkpoint of the Trainer holds the history up to it.
            return found[-1:] if all(path.parent.name.startswith("checkpoint-") for path in found) else found
    return []


def no_log(folder: Path) -> RidgelineError:
    """A folder without a log."""
    names = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    return RidgelineError(
        f"{folder} is a folder; looked for curves.parquet, metrics.csv, trainer_state.json or TensorBoard's event "
        f"files, found {names}; give one of its files."
    )


def _natural(path: Path) -> list[tuple[int, str]]:
    """Numbers in a name by their size: version_2 before version_10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
