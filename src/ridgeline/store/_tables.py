"""The run's tables: parts taken in, one Parquet file a table, each written atomically."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ridgeline.errors import RidgelineError
from ridgeline.store._parts import TABLES, finished_parts, parquet_bytes, parts_dir


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A hidden name to write to; it becomes `path` when the block ends well, else it goes."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under another name and rename it: readers see the old file or the new one, whole."""
    with appearing(path) as partial:
        partial.write_bytes(content)


def read_table(run: Path, name: str) -> pl.DataFrame:
    """One table of a run.

    Raises:
        RidgelineError: when it is missing or no Parquet file.
    """
    path = run / f"{name}.parquet"
    if not path.is_file():
        raise RidgelineError(f"{run} holds no {name}.parquet; is it a run folder with finished trials?")
    return _read(path)


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RidgelineError(
            f"{path} cannot be read ({reason}); restore it, or delete its run folder and run again."
        ) from None


def done_trials(run: Path) -> set[str]:
    """The ids of the trials whose results are stored."""
    done = set(finished_parts(run))
    if (run / "trials.parquet").is_file():
        done |= set(read_table(run, "trials")["trial_id"].to_list())
    return done


def consolidate(run: Path, layout: pl.DataFrame, specification: str = "") -> None:
    """Take the finished parts into the run's tables, in the layout's order, and drop them.

    Rows of trials.parquet are those of the layout whose trial is done: a trial that shows in two arms
    has two rows there, and its curve once in curves.parquet. Parts go only after every table stands, so
    that a kill at any point loses nothing.

    Args:
        layout: one row an (arm, seed) with trial_id, arm, seed, and the varied keys.
        specification: the study as YAML, kept inside the tables beside the provenance of the parts.
    """
    for gone in run.glob(".parts.*"):  # left by a kill
        shutil.rmtree(gone)
    parts = finished_parts(run)
    if not parts:
        return
    provenance = _provenance(parts_dir(run) / parts[0] / "trials.parquet")
    provenance |= {"study": specification}
    order = layout.select("trial_id").unique(maintain_order=True).with_row_index("_place")
    for name in TABLES:
        frames = [_read(parts_dir(run) / part / f"{name}.parquet") for part in parts]
        if (run / f"{name}.parquet").is_file():
            stored = read_table(run, name)
            if name == "trials":
                drop = [c for c in layout.columns if c != "trial_id"]
                stored = stored.drop(drop, strict=False).unique("trial_id", maintain_order=True)
            frames.insert(0, stored.filter(~pl.col("trial_id").is_in(parts)))
        merged = pl.concat(frames, how="diagonal_relaxed")
        merged = merged.join(order, on="trial_id", how="inner", maintain_order="left")
        merged = merged.sort("_place", maintain_order=True).drop("_place")
        if name == "trials":
            merged = layout.join(merged, on="trial_id", how="inner", maintain_order="left")
        write_atomically(run / f"{name}.parquet", parquet_bytes(merged, provenance))
    (run / "weights").mkdir(exist_ok=True)
    for part in parts:
        kept = parts_dir(run) / part / "weights.safetensors"
        if kept.is_file():  # a kill may have come after the move
            kept.replace(run / "weights" / f"{part}.safetensors")
    # Renamed first: a kill while files go must not leave a part that looks whole.
    gone = run / f".parts.{os.getpid()}"
    parts_dir(run).rename(gone)
    shutil.rmtree(gone)


# Facts of a part that do not hold for the whole run.
_OF_ONE_TRIAL = ("ARROW:schema", "config", "pid", "engine", "precision", "halved")


def _provenance(path: Path) -> dict[str, str]:
    _read(path)  # refuses what is damaged
    return {key: text for key, text in pl.read_parquet_metadata(path).items() if key not in _OF_ONE_TRIAL}
