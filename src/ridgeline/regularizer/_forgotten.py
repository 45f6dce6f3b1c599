"""Watching every optimizer's steps: a penalty that never entered the loss, an optimizer that is not the bound one."""

import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from ridgeline.regularizer._sharded import is_sharded
from ridgeline.regularizer._step import closure_of, fills_state
from ridgeline.regularizer._term import REBIND

_FORGOTTEN = (
    "an optimizer stepped on penalised parameters without a backward pass through reg.penalty(): add it to the "
    "loss, loss = criterion(...) + reg.penalty(), or use mode='coupled' with optimizer=. This is said once."
)
_OTHER = (
    "another optimizer than the bound one stepped on penalised parameters, so the penalty did not act: call "
    "reg.bind(model, optimizer) with the optimizer in use. This is said once."
)


_SHARDED = (
    "penalised parameters were sharded since they were regularized, so the penalty did not act: call "
    "reg.bind(model, optimizer) with the ones in use. This is said once."
)


class Watch:
    """Raises, once, when penalised parameters are about to move without their penalty.

    Args:
        in_loss: ids of the parameters whose penalty belongs to the loss.
        in_step: ids of those whose penalty acts in the bound optimizer's step.
        bound: that optimizer, if any.
        sharded_since: whether fully_shard exchanged penalised parameters, which then are watched in vain.
        frozen: parameters that got no penalty since they were frozen, by name.
    """

    def __init__(
        self,
        in_loss: set[int],
        in_step: set[int],
        bound: Optimizer | None,
        sharded_since: Callable[[], bool] = lambda: False,
        frozen: Sequence[tuple[str, Tensor]] = (),
    ) -> None:
        self._frozen = list(frozen)
        self._in_loss, self._in_step, self._bound = in_loss, in_step, bound
        self._sharded_since, self._filling = sharded_since, False
        self._reached, self._said = False, False
        self.paused = False
        self._stepped: set[int] = set()
        self.steps = 0  # of optimizers on parameters whose penalty belongs to the loss
        self._handles = _register(self) if in_loss or in_step else []

    def reached(self) -> None:
        """A backward pass went through the penalty."""
        self._reached = True
        self._stepped.clear()

    def remove(self) -> None:
        """Stop watching."""
        for handle in self._handles:
            handle.remove()

    def before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Before any optimizer's step."""
        self._filling = fills_state(optimizer, kwargs)
        if self.paused or self._filling:
            return
        if self._frozen:
            self._check_frozen()
        if optimizer is not self._bound:
            self._check_same(optimizer)
        if closure_of(args, kwargs) is None:
            self._check_used(optimizer)

    def after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """After any optimizer's step; with a closure, the backward pass was inside."""
        if self.paused or self._filling:
            return
        if closure_of(args, kwargs) is not None:
            self._check_used(optimizer)
        if any(id(p) in self._in_loss for group in optimizer.param_groups for p in group["params"]):
            self._stepped.add(id(optimizer))  # one backward pass serves each of several optimizers once
            self.steps += 1

    def _check_frozen(self) -> None:
        """Warn, once, when parameters that were frozen begin to train, without a penalty."""
        moving = [name for name, p in self._frozen if p.requires_grad and p.grad is not None]
        if moving:
            self._frozen = []
            warnings.warn(
                f"{', '.join(moving[:3])} was frozen when the model was regularized, and trains now without a "
                f"penalty; {REBIND}",
                stacklevel=5,
            )

    def _check_same(self, optimizer: Optimizer) -> None:
        held = [p for group in optimizer.param_groups for p in group["params"]]
        if self._said:
            return
        if any(id(p) in self._in_step and p.grad is not None for p in held):
            self._said = True
            raise RuntimeError(_OTHER)
        if any(is_sharded(p) for p in held) and self._sharded_since():
            self._said = True
            raise RuntimeError(_SHARDED)

    def _check_used(self, optimizer: Optimizer) -> None:
        if self._said or (self._reached and id(optimizer) not in self._stepped):
            return
        for group in optimizer.param_groups:
            for p in group["params"]:
                if id(p) in self._in_loss and p.grad is not None:
                    self._said = True
                    raise RuntimeError(_FORGOTTEN)


def _register(watch: Watch) -> list[Any]:
    """Hooks on the steps of every optimizer, which end with the watch."""
    alive = weakref.ref(watch)

    def before(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found = alive()
        if found is not None:
            found.before(optimizer, args, kwargs)

    def after(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        found = alive()
        if found is not None:
            found.after(optimizer, args, kwargs)

    _sweep()
    handles = [register_optimizer_step_pre_hook(before), register_optimizer_step_post_hook(after)]
    weakref.finalize(watch, _OVER.extend, handles)
    return handles


# Hooks of watches that are gone. They do nothing, and are removed when the next one comes: garbage is
# collected at any moment, also while torch walks through the hooks.
_OVER: list[Any] = []


def _sweep() -> None:
    while _OVER:
        _OVER.pop().remove()
