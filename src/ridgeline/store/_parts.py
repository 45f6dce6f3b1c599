"""Parts: one folder a finished trial, which appears whole or not at all."""

import io
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import polars as pl
from safetensors.torch import save
from torch import Tensor

TABLES = ("trials", "curves", "predictions", "audit")


def parts_dir(run: Path) -> Path:
    """Where parts lie until the run's tables take them in."""
    return run / "parts"


def parquet_bytes(frame: pl.DataFrame, provenance: Mapping[str, str]) -> bytes:
    """A table as Parquet with provenance inside. Made in memory: polars hides what a full disk answers."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, metadata=dict(provenance))
    return buffer.getvalue()


def write_part(
    run: Path,
    trial_id: str,
    tables: Mapping[str, pl.DataFrame],
    weights: Mapping[str, Tensor],
    provenance: Mapping[str, str],
) -> None:
    """Write a trial's tables and weights under a hidden name, then rename: the rename is the commit."""
    home = parts_dir(run)
    final = home / trial_id
    hidden = home / f".{trial_id}.{os.getpid()}"
    shutil.rmtree(hidden, ignore_errors=True)
    hidden.mkdir(parents=True)
    try:
        for name in TABLES:
            content = parquet_bytes(tables[name], provenance)
            (hidden / f"{name}.parquet").write_bytes(content)
        (hidden / "weights.safetensors").write_bytes(
            save({k: v.contiguous() for k, v in weights.items()}, dict(provenance))
        )
        if not final.exists():
            hidden.rename(final)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def finished_parts(run: Path) -> list[str]:
    """The trial ids of the parts that are whole."""
    home = parts_dir(run)
    if not home.is_dir():
        return []
    return sorted(p.name for p in home.iterdir() if p.is_dir() and not p.name.startswith("."))
