"""A run whose pack is killed: the trials that had left it are kept, the others go on from its checkpoint."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from ridgeline.store import finished_parts
from ridgeline.study._checkpoints import checkpoints_dir, generations
from tests.end_to_end.commands import PATIENCE_S, ROOT, Cli, tables, wait_for, wait_for_parts, write_study

# The command line with checkpoints as often as they may be.
SAVING = """
from functools import partial
from ridgeline.study import _run
_run.Job = partial(_run.Job, save_every_s=0.0)
from ridgeline.cli import main
main()
"""


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Path]:
    """A working directory with a run of six trials, killed when two have diverged and left their pack."""
    spec = write_study(
        tmp_path / "study.yaml",
        model={"factory": "tests.end_to_end.factories:counted"},
        train={"lr": 0.01, "steps": 20, "batch_size": 16, "optimizer": "sgd", "momentum": 0.9},
        vary={"train.lr": [0.01, 0.1, 1e30]},
        evaluate={"every": 5},
    )
    process = subprocess.Popen(
        [sys.executable, "-c", SAVING, "run", spec, "--engine", "lanes", "--out", "run"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_parts(tmp_path / "run", 2, process)
        wait_for(tmp_path / "waits", process)  # not while a checkpoint takes the place of the one before
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -signal.SIGKILL
        (tmp_path / "passes").unlink()
        (tmp_path / "go").touch()
        yield tmp_path
    finally:
        process.kill()
        process.communicate()


def is_whole(cli: Cli, cwd: Path) -> None:
    """The run's tables are those of an undisturbed one under the same plan, and nothing else is left."""
    (cwd / "whole").mkdir()
    (cwd / "whole" / "plan.json").write_bytes((cwd / "run" / "plan.json").read_bytes())
    assert cli("run", str(cwd / "study.yaml"), "--engine", "lanes", "--out", "whole").code == 0
    for ours, theirs in zip(tables(cwd / "run"), tables(cwd / "whole"), strict=True):
        assert ours.equals(theirs)
    assert tables(cwd / "run")[0]["status"].to_list().count("diverged") == 2
    others = [pl.read_parquet(cwd / name / "predictions.parquet") for name in ("run", "whole")]
    assert others[0].equals(others[1])
    assert not (cwd / "run" / "parts").exists()
    assert not checkpoints_dir(cwd / "run").exists()


def test_a_killed_pack_goes_on_bit_for_bit(cli: Cli, killed: Path) -> None:
    assert len(finished_parts(killed / "run")) == 2
    assert generations(killed / "run")
    said = cli("run", str(killed / "study.yaml"), "--out", "run")
    assert said.code == 0
    assert "is not used" not in said.out
    passes = len((killed / "passes").read_text())
    (killed / "passes").unlink()
    is_whole(cli, killed)
    assert passes < len((killed / "passes").read_text())


def test_a_spoilt_checkpoint_is_named_on_the_screen(cli: Cli, killed: Path) -> None:
    ((newer, older),) = generations(killed / "run").values()
    assert older.endswith(".previous.safetensors")
    (checkpoints_dir(killed / "run") / newer).write_bytes(b"spoilt")
    said = cli("run", str(killed / "study.yaml"), "--out", "run")
    assert said.code == 0
    assert f"run/checkpoints/{newer} is not used: it cannot be read" in said.out
    is_whole(cli, killed)
