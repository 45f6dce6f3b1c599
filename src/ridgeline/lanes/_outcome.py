"""What one trial leaves behind."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from torch import Tensor

from ridgeline.lanes._evaluate import Evaluation

Status: TypeAlias = Literal["done", "diverged"]


@dataclass(frozen=True)
class Outcome:
    """The result of training one trial.

    Attributes:
        status: "diverged" when a loss stopped being finite; then `steps` is where it was noticed.
        steps: updates made.
        best_step: where the validation loss was lowest among the evaluations.
        curves: the history, a list of numbers a column, None where there is no value.
        last, best: the evaluation of every set at the last and the best step; empty when diverged.
        weights: parameters and buffers after the last update, on the CPU.
        audit: the audit's rows.
    """

    status: Status
    steps: int
    seconds: float
    best_step: int | None
    curves: dict[str, list[float | None]]
    last: dict[str, Evaluation]
    best: dict[str, Evaluation]
    weights: dict[str, Tensor]
    audit: list[dict[str, object]]
