"""The outcome of one lane, as solo writes it."""

from torch import Tensor, nn

from ridgeline.lanes._evaluate import Evaluation
from ridgeline.lanes._lane import Lane
from ridgeline.lanes._optimizer import build_optimizer
from ridgeline.lanes._outcome import Outcome
from ridgeline.lanes._solo import Program
from ridgeline.regularizer import regularize


def outcome_of(
    lane: Lane,
    step: int,
    seconds: float,
    last: dict[str, Evaluation],
    best: dict[str, Evaluation],
    weights: dict[str, Tensor],
    kept: dict[str, Tensor],
    template: nn.Module,
) -> Outcome:
    """One lane's outcome.

    Args:
        seconds: its share of the pack's time.
        weights, kept: its state_dict after the last update, and that of the best step.
        template: a model of the same shape, into which `kept` is loaded for the audit.
    """
    template.load_state_dict(kept)
    return Outcome(
        status="diverged" if lane.diverged else "done",
        steps=step,
        seconds=seconds,
        best_step=None if lane.diverged else lane.best_step,
        curves=lane.history.columns,
        last={} if lane.diverged else last,
        best={} if lane.diverged else best,
        weights=weights,
        audit=audit_rows(template, lane.program),
    )


def audit_rows(model: nn.Module, program: Program) -> list[dict[str, object]]:
    """The audit of a model under a program's rules, and all that `regularize` refuses."""
    if not program.rules:
        return []
    optimizer = build_optimizer(model, program.training)
    regularizer = regularize(model, program.rules, optimizer=optimizer, metric=program.metric)
    rows: list[dict[str, object]] = regularizer.audit().rows
    regularizer.remove()
    return rows
