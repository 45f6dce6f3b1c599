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
from ridgeline.study._execute import Watch, execute, prepared
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
    watch = Watch(
        on_steps=lambda steps: _say(out, {"steps": steps}),
        on_trial=lambda: _say(out, {"trials": 1}),
        say=lambda sentence: _say(out, {"said": sentence}),
    )
    try:
        with prepared(setup["threads"], setup["products"]) as numerics:
            for line in sys.stdin:
                asked = json.loads(line)
                own, done = tuple(trials[i] for i in asked.pop("trials")), frozenset(asked.pop("done"))
                unit = Unit(own, **asked, done=done)
                try:
                    execute(
                        Path(setup["run"]),
                        unit,
                        device=torch.device(setup["device"]),
                        numerics=numerics,
                        data_dir=data_dir,
                        save_every_s=setup["save_every_s"],
                        watch=watch,
                    )
                except (RidgelineError, OSError) as error:
                    _say(out, {"error": str(error)})
                    return
                _say(out, {"done": True})
    except BrokenPipeError:
        os._exit(1)  # the command is gone, and with it whoever would read a traceback


def _say(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
