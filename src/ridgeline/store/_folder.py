"""A run folder: who owns it, which study it belongs to, and the plan that is obeyed on resume."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ridgeline.errors import RidgelineError
from ridgeline.store._tables import write_atomically


@contextlib.contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold the run folder: a second writer is refused; the lock ends with the process, however it ends."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RidgelineError(f"{run} is a file, not a folder; choose another --out.") from None
    lock = FileLock(run / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RidgelineError(
            f"another process is writing to {run}; wait for it, or choose another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_json(path: Path) -> Any:
    """A JSON file of a run folder; None when there is none.

    Raises:
        RidgelineError: when it is no JSON.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError:
        raise RidgelineError(f"{path} is damaged; delete the run folder, or restore the file.") from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, readable by eye."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())
