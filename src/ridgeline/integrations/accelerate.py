"""Accelerate: `ridgeline.regularize` for models and optimizers that went through `accelerator.prepare`."""

from collections.abc import Sequence
from typing import Any, Self

from torch import nn
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError
from ridgeline.integrations._shared import Kept, missing
from ridgeline.penalties import Penalty
from ridgeline.regularizer import Metric, Regularizer
from ridgeline.regularizer._check import check_mode
from ridgeline.select import Mode, Rule

try:
    from accelerate import Accelerator
    from accelerate.optimizer import AcceleratedOptimizer
except ModuleNotFoundError as error:
    raise missing("accelerate", error) from None


def regularize(
    accelerator: Accelerator,
    model: nn.Module,
    rules: Penalty | Sequence[Rule],
    *,
    optimizer: Optimizer | None = None,
    mode: Mode = "loss",
    metric: Metric = "optimizer",
    compile: bool = False,  # noqa: A002 - torch's word for it
) -> Regularizer:
    """Attach penalties to a prepared model, and its optimizer, once both are prepared.

    As `ridgeline.regularize`, but that the penalty acts in the optimizer inside Accelerate's, and that the
    clock of strength schedules and the references of L2SP are part of `accelerator.save_state` and
    `load_state`. While `accelerator.accumulate` holds steps back the penalty waits too: it acts once for each
    step that is made. In mode "loss" `accelerator.backward` divides the penalty with the loss, which adds up
    to one penalty a step. For the trackers: `accelerator.log(reg.log(), step=step)`. After another
    `accelerator.prepare`, `reg.bind(model, optimizer)` takes what it returned.

    Args:
        model: as `accelerator.prepare` returned it; names are those of the model inside.
        optimizer: as `accelerator.prepare` returned it; needed by every mode but "loss".

    Raises:
        RidgelineError: for an optimizer whose step has no hooks, as of DeepSpeed.
        ValueError: as `ridgeline.regularize` does.

    Example:
        model, optimizer, batches = accelerator.prepare(model, optimizer, batches)
        reg = regularize(accelerator, model, ridgeline.L2(5e-4), optimizer=optimizer, mode="decoupled")
    """
    check_mode(mode, metric)
    reg = _Prepared(model, rules, optimizer, mode, metric, compile)
    accelerator.register_for_checkpointing(Kept(reg))
    return reg


class _Prepared(Regularizer):
    """A regularizer that is bound to what `accelerator.prepare` returns."""

    def bind(self, model: nn.Module, optimizer: Optimizer | None = None) -> Self:
        return super().bind(model, None if optimizer is None else unwrapped(optimizer))


def unwrapped(optimizer: Any) -> Optimizer:
    """The torch optimizer inside Accelerate's; hooks on its step run when a step is really made.

    Raises:
        RidgelineError: for one that is no torch optimizer.
    """
    found = optimizer.optimizer if isinstance(optimizer, AcceleratedOptimizer) else optimizer
    if not isinstance(found, Optimizer):
        raise RidgelineError(
            f"{type(found).__name__} is no torch optimizer, and its step has no hooks for a penalty to act in; "
            f"use mode 'loss' without optimizer=, or a torch optimizer."
        )
    return found
