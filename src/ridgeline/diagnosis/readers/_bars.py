"""Progress bars and places within an epoch: which states count, and at which step."""

from collections.abc import Sequence

from ridgeline.diagnosis.readers._line import Line


def last_of_bars(rows: list[Line]) -> list[Line]:
    """Of a progress bar only its last state in each epoch: until then it shows running means.

    Where a bar runs over steps, or over the only epoch, its states are the log, and its count is the step.
    """
    epochs = {line.steps.get("epoch") for line in rows if line.is_bar}
    over_epochs = len(epochs - {None}) > 1
    lowest = min((line.steps["epoch"] for line in rows if "epoch" in line.steps), default=0.0)
    for line in rows:
        if line.share is None or "step" in line.steps or "iter" in line.steps:
            continue
        if line.is_bar and not over_epochs:
            line.steps["step"] = line.share[0]
        elif not line.is_bar and "epoch" in line.steps and line.share[1] > 0:
            line.steps["epoch"] += line.share[0] / line.share[1] - (lowest > 0)
    if any(line.share is not None and not line.is_bar for line in rows) and lowest == 0:
        for line in rows:  # epochs that count from 0 end at the next number
            if line.share is None and "epoch" in line.steps:
                line.steps["epoch"] += 1
    return _without_running(rows) if over_epochs else rows


def _without_running(rows: Sequence[Line]) -> list[Line]:
    """The rows but for the states of a bar that a later state of the same epoch replaces."""
    kept: list[Line] = []
    later: set[str] = set()
    epoch: float | None = None
    for line in reversed(rows):
        if line.steps.get("epoch") != epoch:
            epoch, later = line.steps.get("epoch"), set()
        if not line.is_bar or not later.issuperset(line.values):
            kept.append(line)
        if line.is_bar:
            later |= line.values.keys()
    return kept[::-1]
