"""`ridgeline` with a watch in its hand: writes to a JSON file how long each part of the command took.

    python -m benchmarks.engines.stopwatch FILE BEGAN run SPEC --out DIR

BEGAN is the time at which the process was asked for, in seconds since the epoch.
"""

import functools
import json
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

# Where each part is called from; what runs within another part counts there too.
_PARTS = {
    "planning": [("ridgeline.study._run", "check_trials"), ("ridgeline.study._check", "Checked.plan")],
    "running": [("ridgeline.study._run", "run_here"), ("ridgeline.study._run", "run_processes")],
    "tables": [("ridgeline.study._run", "consolidate")],
    "report": [("ridgeline.report", "Results.report")],
    "answer": [("ridgeline.cli._study", "terminal_table"), ("ridgeline.cli._study", "_say_answer")],
}


def main() -> None:
    """Run the command, then write its parts."""
    file, began = Path(sys.argv[1]), float(sys.argv[2])
    sys.argv = ["ridgeline", *sys.argv[3:]]
    from ridgeline.cli import _audit, _convert, _data, _diagnose, _main, _recipes, _study  # noqa: F401

    seconds: dict[str, float] = defaultdict(float)
    seconds["start-up"] = time.time() - began
    for part, places in _PARTS.items():
        for module, name in places:
            _watch(seconds, part, sys.modules[module], name)
    try:
        _main.main()
    finally:
        seconds["in all"] = time.time() - began
        file.write_text(json.dumps(seconds))


def _watch(seconds: dict[str, float], part: str, owner: Any, dotted: str) -> None:
    *path, name = dotted.split(".")
    for each in path:
        owner = getattr(owner, each)
    call = getattr(owner, name)

    @functools.wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            seconds[part] += time.perf_counter() - began

    setattr(owner, name, watched)


if __name__ == "__main__":
    main()
