"""A worker process: reads packs and trials as JSON lines on its input, answers with JSON lines on its output.

It ends when its input closes, so it never outlives the command that started it by more than the time
between two evaluations, however that command ends.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

import torch

from ridgeline.errors import RidgelineError
from ridgeline.study._execute import execute, prepared
from ridgeline.study._packs import Unit
from ridgeline.study._spec import check_spec
from ridgeline.study._trials import trials_of


def main() -> None:
    """Serve trials until the input closes."""
    # Only our messages may use the pipe: what a person's model prints goes to standard error.
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    setup = json.loads(sys.stdin.readline())
    sys.path[:] = setup["sys_path"]
    trials = {trial.trial_id: trial for trial in trials_of(check_spec(setup["spec"]))}
    data_dir = None if setup["data_dir"] is None else Path(setup["data_dir"])
    try:
        with prepared(setup["threads"], setup["products"]) as numerics:
            for line in sys.stdin:
                asked = json.loads(line)
                unit = Unit(tuple(trials[i] for i in asked["trials"]), asked["engine"], asked["rule"])
                try:
                    execute(
                        Path(setup["run"]),
                        unit,
                        device=torch.device(setup["device"]),
                        numerics=numerics,
                        data_dir=data_dir,
                        on_steps=lambda steps: _say(out, {"steps": steps}),
                    )
                except (RidgelineError, OSError) as error:
                    _say(out, {"error": str(error)})
                    return
                _say(out, {"done": asked["trials"]})
    except BrokenPipeError:
        os._exit(1)  # the command is gone, and with it whoever would read a traceback


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
