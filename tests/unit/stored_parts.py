"""Parts of trials that never trained, for the tests of the store."""

from pathlib import Path

import polars as pl
import torch

from ridgeline.store import write_part

FACTS = {"ridgeline": "0.1.0", "device": "a test"}


def part(run: Path, trial_id: str, loss: float = 0.5) -> None:
    """Write the part of a trial with two points of curve."""
    named = pl.DataFrame({"trial_id": [trial_id] * 2})
    tables = {
        "trials": pl.DataFrame({"trial_id": [trial_id], "status": ["done"], "final_val_loss": [loss]}),
        "curves": named.with_columns(step=pl.Series([0, 5]), val_loss=pl.Series([1.0, loss])),
        "predictions": named.with_columns(example=pl.Series([0, 1])),
        "audit": named.with_columns(name=pl.Series(["w", "b"])),
    }
    write_part(run, trial_id, tables, {"w": torch.full((2,), loss)}, FACTS)


def layout(*rows: tuple[str, str, int]) -> pl.DataFrame:
    """A layout of (trial_id, arm, seed) rows."""
    return pl.DataFrame(rows, schema=["trial_id", "arm", "seed"], orient="row")
