"""A forgotten penalty: mode "loss", and a step without a backward pass through `reg.penalty()`."""

import weakref
from typing import TYPE_CHECKING, Any

from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

if TYPE_CHECKING:
    from ridgeline.regularizer._regularizer import Regularizer


def watch(regularizer: "Regularizer") -> list[Any]:
    """Watch the steps of every optimizer; the handles end with the regularizer."""
    alive = weakref.ref(regularizer)

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found = alive()
        if found is not None:
            found._before_any_step(optimizer, args, kwargs)

    def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found = alive()
        if found is not None:
            found._after_any_step(optimizer, args, kwargs)

    _sweep()
    handles = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    weakref.finalize(regularizer, _OVER.extend, handles)
    return handles


# Hooks of regularizers that are gone. They do nothing, and are removed when the next one comes: garbage is
# collected at any moment, also while torch walks through the hooks.
_OVER: list[Any] = []


def _sweep() -> None:
    while _OVER:
        _OVER.pop().remove()
