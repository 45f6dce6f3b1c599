"""The next step of an optimizer, made on copies: what it would move, with a penalty or without."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.errors import reason
from ridgeline.regularizer._hooks import Clock, StepHooks
from ridgeline.regularizer._kernels import Factor
from ridgeline.regularizer._snapshot import random_state, set_random_state
from ridgeline.regularizer._term import Term


@dataclass(frozen=True)
class NextStep:
    """Steps of copies of an optimizer and of its parameters, each from the state as it is now.

    Args:
        leaves: whose displacement is asked for, and those that the optimizer holds besides.
        metric: of mode "proximal".
        first_lr: η₀ of each group, of mode "independent".
    """

    optimizer: Optimizer
    leaves: Sequence[Tensor]
    clock: Clock
    metric: str
    first_lr: Sequence[Factor]

    def displacement(self, grads: Mapping[int, Tensor], terms: Sequence[Term]) -> dict[int, Tensor]:
        """What the step moves, by id of the leaf, with these gradients and the terms that act in it.

        Raises:
            RuntimeError: where the copy cannot step, as without a closure.
        """
        twins = {id(p): nn.Parameter(p.detach().clone()) for p in self.leaves}
        for key, grad in grads.items():
            twins[key].grad = grad.detach().clone()
        own = [
            replace(t, parameter=twins[id(t.parameter)], leaves=(twins[id(t.parameter)],))
            for t in terms
            if not t.effective and id(t.parameter) in twins
        ]
        drawn = random_state()  # an optimizer may draw noise, the same with the penalty and without
        try:
            self._step(twins, own)
        except Exception as error:  # of any kind: it may be a person's own optimizer
            raise RuntimeError(
                f"reg.effect() makes the next step on a copy of {type(self.optimizer).__name__}, and that failed "
                f"({reason(error)}); ask reg.response(step_fn), which runs your own steps."
            ) from error
        finally:
            set_random_state(drawn)
        return {id(p): (twins[id(p)] - p).detach() for p in self.leaves}

    def _step(self, twins: Mapping[int, Tensor], own: Sequence[Term]) -> None:
        memo: dict[int, object] = dict(twins)  # the parameters exchanged; hooks stay behind
        twin = copy.deepcopy(self.optimizer, memo)
        for name, value in vars(self.optimizer).items():  # what a person's own optimizer holds besides
            if not hasattr(twin, name) and not inspect.isroutine(value):
                setattr(twin, name, copy.deepcopy(value, memo))
        hooks = StepHooks(twin, own, Clock(self.clock.step), self.metric, None)
        if len(self.first_lr) == len(hooks.first_lr):
            hooks.first_lr = list(self.first_lr)
        try:
            twin.step()
        finally:
            hooks.remove()
