"""The optimizer of a solo trial, fused where torch has it, and its learning rate over the run."""

import inspect
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from ridgeline.lanes._settings import Schedule, Training
from ridgeline.regularizer._hooks import never_compiled


def build_optimizer(model: nn.Module, training: Training) -> Optimizer:
    """The optimizer over all trainable parameters of the model.

    Fused kernels exist for Adam, AdamW and SGD on the CPU and on CUDA, for floating parameters; none for RMSprop.
    """
    with _compiler_left_out():
        made = _built([p for p in model.parameters() if p.requires_grad], training)
    never_compiled(made)
    return made


def _built(parameters: list[nn.Parameter], training: Training) -> Optimizer:
    common: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay}
    if training.optimizer == "rmsprop":
        own = {"alpha": training.alpha, "eps": training.eps, "momentum": training.momentum}
        return RMSprop(parameters, **{**common, **own})
    common["fused"] = True
    if training.optimizer == "sgd":
        return SGD(parameters, momentum=training.momentum, nesterov=training.nesterov, **common)
    kind = Adam if training.optimizer == "adam" else AdamW
    return kind(parameters, betas=training.betas, eps=training.eps, **common)


@contextmanager
def _compiler_left_out() -> Iterator[None]:
    """Keep torch from loading its compiler, 1.5 s a process, to keep it out of the making of an optimizer.

    It remembers at `add_param_group` itself how to call it with the compiler kept out; nothing compiles here.
    """
    made, memory = inspect.unwrap(Optimizer.add_param_group), "__dynamo_disable"
    if "torch._dynamo" in sys.modules or hasattr(made, memory):
        yield
        return
    setattr(made, memory, made)
    try:
        yield
    finally:
        vars(made).pop(memory, None)  # another thread may have been here


def first_step() -> None:
    """Have torch load what it loads with the first step of an optimizer in a process, the compiler too."""
    SGD([nn.Parameter(torch.zeros(1))]).step()


def learning_rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """The factor on the learning rate for update number `step`, 0 ≤ step < steps.

    Example:
        >>> [learning_rate_factor(Schedule("cosine", warmup=2), k, 6) for k in (0, 1, 2, 4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    if schedule.name == "step":
        return float(schedule.gamma ** (step // schedule.every))
    share = (step - schedule.warmup) / max(steps - schedule.warmup, 1)
    if schedule.name == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    return 1.0 - share if schedule.name == "linear" else 1.0


def set_learning_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of every group."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
