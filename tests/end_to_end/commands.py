"""The command line as a person meets it: in this process, or as one of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from ridgeline.store import finished_parts
from ridgeline.study._spec import dump_yaml

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0  # only a hang takes this long

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "n_train": 60},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"lr": 0.01, "steps": 20, "batch_size": 16},
    "regularization": {"penalty": "l2", "strength": 0.0},
    "vary": {"regularization.strength": [0.0, 0.01, 0.1]},
    "seeds": 2,
}


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def sentence(self) -> str:
        """Its one line on standard error."""
        assert self.err.startswith("ridgeline: ")
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err


Cli: TypeAlias = Callable[..., Said]


def write_study(path: Path, **changes: Any) -> str:
    """TINY with sections exchanged, as a YAML file; None takes a section out."""
    raw = {key: value for key, value in {**TINY, **changes}.items() if value is not None}
    path.write_text(dump_yaml(raw))
    return str(path)


def start(*args: str, cwd: Path) -> subprocess.Popen[str]:
    """The command as a process of its own; the tests' factories are importable there."""
    return subprocess.Popen(
        [sys.executable, "-c", "from ridgeline.cli import main; main()", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until the process has made this file."""
    _until(path.exists, process)


def wait_for_parts(run: Path, count: int, process: subprocess.Popen[str]) -> list[Path]:
    """The finished parts, as soon as there are so many."""
    _until(lambda: len(finished_parts(run)) >= count, process)
    return [run / "parts" / name for name in finished_parts(run)]


def tables(run: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Trials, without the one column that holds time, and curves."""
    return pl.read_parquet(run / "trials.parquet").drop("seconds"), pl.read_parquet(run / "curves.parquet")
