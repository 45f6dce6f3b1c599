"""Killed, interrupted or out of disk: what was done is kept, and the same command goes on."""

import errno
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from ridgeline.store import _parts as parts_module
from tests.end_to_end.commands import PATIENCE_S, Cli, Said, start, tables, wait_for_parts, write_study

PROCESSES = {"engine": "solo", "device": "cpu", "processes": 2, "threads": 1, "reason": "two"}


def write_gated(path: Path) -> str:
    """A study whose training waits, after two trials, for the file `go`."""
    return write_study(
        path, model={"factory": "tests.end_to_end.factories:gated"}, seeds=3, vary={"train.lr": [0.01, 0.1]}
    )


@contextmanager
def stopped_half_way(cwd: Path, processes: bool) -> Iterator[subprocess.Popen[str]]:
    """A run of six trials, two stored and the next in training; ended afterwards, however it is."""
    if processes:
        (cwd / "run").mkdir()
        (cwd / "run" / "plan.json").write_text(json.dumps(PROCESSES))
    process = start("run", write_gated(cwd / "gated.yaml"), "--out", "run", cwd=cwd)
    try:
        wait_for_parts(cwd / "run", 2, process)
        yield process
    finally:
        (cwd / "go").touch()
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Said:
    """Its answer. Workers hold its standard error, so this returns only when they have ended too."""
    out, err = process.communicate(timeout=PATIENCE_S)
    return Said(process.returncode, out, err)


def goes_on_to_the_same_end(cli: Cli, cwd: Path, stored: int) -> None:
    """The same command finishes, and its tables are those of an undisturbed run."""
    spec = str(cwd / "gated.yaml")
    (cwd / "go").touch()
    assert cli("run", spec, "--out", "run").code == 0
    assert cli("run", spec, "--out", "whole").code == 0
    for ours, theirs in zip(tables(cwd / "run"), tables(cwd / "whole"), strict=True):
        assert ours.equals(theirs)
    assert len(tables(cwd / "run")[0]) == 6 > stored
    kinds = [pl.read_parquet(cwd / name / "predictions.parquet") for name in ("run", "whole")]
    assert kinds[0].equals(kinds[1])
    assert not (cwd / "run" / "parts").exists()


@pytest.mark.parametrize("processes", [False, True])
def test_killed_and_run_again_is_whole(cli: Cli, tmp_path: Path, processes: bool) -> None:
    with stopped_half_way(tmp_path, processes) as process:
        process.kill()
        (tmp_path / "go").touch()
        said = ended(process)
    assert said.code == -signal.SIGKILL
    assert "Traceback" not in said.err
    goes_on_to_the_same_end(cli, tmp_path, 2)


@pytest.mark.parametrize("processes", [False, True])
def test_ctrl_c_is_one_sentence_and_keeps_what_was_done(cli: Cli, tmp_path: Path, processes: bool) -> None:
    with stopped_half_way(tmp_path, processes) as process:
        process.send_signal(signal.SIGINT)
        said = ended(process)
    assert said.code == 130
    assert "the same command goes on" in said.sentence()
    kept = tables(tmp_path / "run")[0]
    assert len(kept) >= 2
    goes_on_to_the_same_end(cli, tmp_path, len(kept))


def test_a_killed_worker_is_named_by_its_trial(cli: Cli, tmp_path: Path) -> None:
    with stopped_half_way(tmp_path, processes=True) as process:
        parts = wait_for_parts(tmp_path / "run", 2, process)
        worker = int(pl.read_parquet_metadata(parts[0] / "trials.parquet")["pid"])
        assert worker != process.pid
        os.kill(worker, signal.SIGKILL)
        said = ended(process)
    assert said.code == 2
    assert "the process training 'lr=" in said.sentence()
    assert "signal 9" in said.err
    kept = tables(tmp_path / "run")[0]
    assert len(kept) >= 2
    goes_on_to_the_same_end(cli, tmp_path, len(kept))


def test_a_full_disk_is_one_sentence_and_keeps_what_was_done(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = write_study(tmp_path / "tiny.yaml")
    write, written = parts_module.parquet_bytes, []

    def full_after_two_parts(frame: pl.DataFrame, provenance: Mapping[str, str]) -> bytes:
        written.append(1)
        if len(written) > 9:  # in the second of the third part's four tables
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run/parts")
        return write(frame, provenance)

    with monkeypatch.context() as patch:
        patch.setattr(parts_module, "parquet_bytes", full_after_two_parts)
        said = cli("run", spec, "--out", "run")
    assert said.code == 2
    assert "free some space" in said.sentence()
    kept = tables(tmp_path / "run")[0]
    assert len(kept) == 2
    assert cli("run", spec, "--out", "run").code == 0
    whole = tables(tmp_path / "run")[0]
    assert whole.filter(pl.col("trial_id").is_in(kept["trial_id"].to_list())).equals(kept)


def test_a_read_only_disk_is_one_sentence(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(path: Path, *_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    spec = write_study(tmp_path / "tiny.yaml")
    monkeypatch.setattr("ridgeline.study._run.write_json", read_only)
    said = cli("run", spec, "--out", "run")
    assert said.code == 2
    assert "plan.json" in said.sentence()
    assert "writable disk" in said.err


def test_a_path_below_a_file_cannot_be_written(cli: Cli, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "tiny.yaml")
    said = cli("run", spec, "--out", "tiny.yaml/run")
    assert said.code == 2
    assert "tiny.yaml" in said.sentence()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_half_written_small_files_of_a_killed_run_are_no_strangers(cli: Cli, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "tiny.yaml", seeds=1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".plan.json.123").touch()
    (tmp_path / "run" / ".lock").touch()
    assert cli("run", spec, "--out", "run").code == 0
