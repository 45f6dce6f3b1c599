"""The run folder: one writer at a time, and small files that are whole or absent."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ridgeline import RidgelineError
from ridgeline.store import locked, read_json, write_atomically, write_json

HOLDER = """
import sys, pathlib
from ridgeline.store import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_holder(run: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with another_holder(run) as process:
        with pytest.raises(RidgelineError, match="another process is writing"), locked(run):
            pass
        process.kill()
        process.wait()
        with locked(run):
            assert run.is_dir()


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(RidgelineError, match="is a file"), locked(path):
        pass


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write_json(path, {"λ": [1, 2.5]})
    assert read_json(path) == {"λ": [1, 2.5]}

    def half(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(OSError, match="full"):
            write_atomically(path, b"something else")
    assert read_json(path) == {"λ": [1, 2.5]}
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]


def test_an_absent_file_is_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert read_json(path) is None
    path.write_text('{"engine": ')
    with pytest.raises(RidgelineError, match=r"plan\.json is damaged"):
        read_json(path)
