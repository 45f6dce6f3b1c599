"""The hooks on one optimizer's step, in which penalties act: before it, around its closure, after it."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import torch
from torch import Tensor
from torch.optim import Optimizer

from ridgeline.regularizer import _step as steps
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._kernels import Factor, fold
from ridgeline.regularizer._many import total
from ridgeline.regularizer._split import begin, join, natively, split, whole
from ridgeline.regularizer._term import Term, has_constraint, is_zero, scheduled

# The modes that act before the update.
_EARLY = ("coupled", "decoupled", "independent")
# The hooks that act in each optimizer.
_LIVE: "WeakKeyDictionary[Optimizer, WeakSet[StepHooks]]" = WeakKeyDictionary()


@dataclass
class Clock:
    """How many updates the strength schedules have seen."""

    step: int = 0


# Optimizers whose steps nobody compiles.
_EAGER: "WeakSet[Optimizer]" = WeakSet()


def never_compiled(optimizer: Optimizer) -> None:
    """Promise it of an optimizer: to keep its hooks out of torch's compiler, that is loaded, which takes 1.5 s."""
    _EAGER.add(optimizer)


class StepHooks:
    """Penalties in the step of one optimizer.

    Args:
        terms: all of them; those of mode "loss" act here by their constraints only.
        metric: of mode "proximal".
        compiled: its passes, where they are.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        terms: Sequence[Term],
        clock: Clock,
        metric: str,
        compiled: Compiled | None,
    ) -> None:
        self.optimizer, self._clock, self._metric, self._compiled = optimizer, clock, metric, compiled
        self.take(terms)
        # Traced, the passes of one tensor would be guarded as if they were another's.
        eager = optimizer in _EAGER and "torch._dynamo" not in sys.modules
        self._prox: Callable[..., None] = steps.prox if eager else torch.compiler.disable(steps.prox)
        self.watch: object = None
        self._filling = False
        self.first_lr: list[Factor] = [fold(g.get("initial_lr", g["lr"])) for g in optimizer.param_groups]
        self._warn_of_others()
        self._handles = [
            optimizer.register_step_pre_hook(self._before),
            optimizer.register_step_post_hook(self._after),
            optimizer.register_load_state_dict_post_hook(self._loaded),
            optimizer.register_state_dict_pre_hook(lambda _: join(optimizer)),  # after a step that raised
        ]
        self._hook = int(self._handles[0].id)

    def take(self, terms: Sequence[Term]) -> None:
        """Act for these terms from now on."""
        acting = [t for t in terms if not is_zero(t.penalty)]
        self._coupled = [t for t in acting if t.mode == "coupled"]
        self._effective = [t for t in acting if t.effective]
        self._by_id = {id(t.parameter): t for t in acting if not t.effective}
        self._by_hook = self._by_id
        self._early = bool(self._effective) or any(t.mode in _EARLY for t in self._by_id.values())
        self._late = {
            k: t for k, t in self._by_id.items() if t.mode == "proximal" or has_constraint(t.penalty)
        }
        self._scheduled = any(scheduled(t.penalty) for t in terms)
        self._native: dict[int, tuple[float, Term | None] | None] = {}

    def alive(self) -> bool:
        """Whether the optimizer still calls these hooks, where they have anything to do."""
        return not self._by_id or self._hook in self.optimizer._optimizer_step_pre_hooks

    def remove(self) -> None:
        """Leave the optimizer as it was."""
        join(self.optimizer)
        for handle in self._handles:
            handle.remove()
        _LIVE.get(self.optimizer, WeakSet()).discard(self)

    def _warn_of_others(self) -> None:
        """Two regularizers on one tensor add up, as when a notebook's cell is run again."""
        others = _LIVE.setdefault(self.optimizer, WeakSet())
        both = [t.name for other in others for key, t in self._by_id.items() if key in other._by_id]
        if both:
            warnings.warn(
                f"{', '.join(both[:3])} is penalised by another regularizer of this optimizer already, and both act; "
                f"call remove() on the one that is not wanted.",
                stacklevel=6,
            )
        others.add(self)

    def initial_lr(self, group: dict[str, Any]) -> Factor:
        """η₀ of a group: its initial_lr, else its learning rate when the hooks were attached."""
        if "initial_lr" in group:
            return fold(group["initial_lr"])
        place = next(i for i, g in enumerate(whole(self.optimizer)) if g is group)
        return self.first_lr[min(place, len(self.first_lr) - 1)]

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        self._filling = steps.fills_state(optimizer, kwargs)
        if self._filling or not self._early or steps.inner(optimizer):
            return None
        self._split(optimizer)
        closure = steps.closure_of(args, kwargs)
        if closure is not None:
            return steps.with_closure(args, kwargs, self._around(optimizer, closure))
        self._act_before(optimizer)
        return None

    def _split(self, optimizer: Optimizer) -> None:
        """Hand plain L2 to the optimizer's own weight decay for this step; the rest is for the hook."""
        self._by_hook = dict(self._by_id)
        if torch.compiler.is_compiling():
            return
        begin(optimizer, id(self))
        decayed = {id(p) for g in optimizer.param_groups if g.get("weight_decay") for p in g["params"]}
        inside: dict[int, tuple[float, str]] = {}
        for key, term in self._by_id.items():
            taken = None if key in decayed else self._natively(optimizer, key, term)
            if taken is not None:
                strength, rest = taken
                inside[key] = (strength, term.mode)
                del self._by_hook[key]
                if rest is not None:
                    self._by_hook[key] = rest
        if inside:
            split(optimizer, inside)

    def _natively(self, optimizer: Optimizer, key: int, term: Term) -> tuple[float, Term | None] | None:
        """What the optimizer's decay takes over of a term: found once, but where strengths follow a schedule."""
        if self._scheduled:
            return natively(optimizer, term, self._clock.step)
        if key not in self._native:
            self._native[key] = natively(optimizer, term, 0)
        return self._native[key]

    def _around(self, optimizer: Optimizer, closure: Callable[[], Any]) -> Callable[[], Any]:
        """The closure as the optimizer calls it: the loss with R, gradients with ∇R."""

        times = 0

        def wrapped() -> Any:
            nonlocal times
            with torch.enable_grad():
                loss = closure()
            self._act_before(optimizer, decays=times == 0)  # a decay is for the step, not for each look at it
            times += 1
            pairs = [(t.at(self._clock.step), t.tensor()) for t in self._coupled]
            if not pairs or loss is None:
                return loss
            with torch.no_grad():
                return loss + total(pairs, self._compiled)

        return wrapped

    def _act_before(self, optimizer: Optimizer, decays: bool = True) -> None:
        found, now, compiled = steps.members(optimizer, self._by_hook), self._clock.step, self._compiled
        steps.add_coupled(optimizer, [m for m in found if m[0].mode == "coupled"], now, compiled)
        steps.add_coupled_effective(optimizer, self._effective, now)
        decayed = [m for m in found if decays and m[0].mode in ("decoupled", "independent")]
        steps.decay(optimizer, decayed, now, self.initial_lr, compiled)

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self._filling or steps.inner(optimizer):
            return
        if self._early and not torch.compiler.is_compiling():
            join(optimizer)
        if self._late:
            late = steps.members(optimizer, self._late)
            self._prox(optimizer, late, self._clock.step, self._metric, self._compiled)
        self._clock.step += not (self._scheduled and steps.skipped(optimizer))

    def _loaded(self, optimizer: Optimizer) -> None:
        """A loaded state may bring weight decay of its own, on top of the penalty: it is set back to 0."""
        brought: set[float] = set()
        for group in optimizer.param_groups:
            decay = group.get("weight_decay", 0)
            if decay and any(id(p) in self._by_id for p in group["params"]):
                brought.add(float(decay))
                group["weight_decay"] = 0.0 * decay if isinstance(decay, Tensor) else 0.0
        if brought:
            warnings.warn(
                f"the loaded optimizer state decays penalised parameters by itself (weight_decay="
                f"{', '.join(f'{d:g}' for d in sorted(brought))}); it was set to 0, the penalty acts instead.",
                stacklevel=4,
            )
