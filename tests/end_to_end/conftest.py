"""The command line in this process, with an empty folder as working directory."""

import sys
from pathlib import Path

import pytest

from ridgeline.cli import main
from tests.end_to_end.commands import Cli, Said


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    """Runs `ridgeline ARGS` here; a factory's folder does not stay importable."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*args: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["ridgeline", *args])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
        return Said(code, *capsys.readouterr())

    return run
