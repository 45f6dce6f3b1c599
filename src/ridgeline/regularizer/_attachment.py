"""What a regularizer holds: the terms of a model, attached to its optimizer, and how they get lost."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._check import check_compile, check_model, check_optimizer
from ridgeline.regularizer._check_sharded import check_sharded, check_wrapping
from ridgeline.regularizer._compiled import Compiled, compile_now
from ridgeline.regularizer._forgotten import Watch
from ridgeline.regularizer._hooks import Clock, StepHooks
from ridgeline.regularizer._kernels import Factor
from ridgeline.regularizer._sharded import at_rest
from ridgeline.regularizer._term import (
    REBIND,
    Term,
    has_constraint,
    in_objective,
    is_zero,
    references,
    restored,
    term_of,
)
from ridgeline.select import Assignment, Mode, Rule, assign

Metric: TypeAlias = Literal["optimizer", "euclidean"]

_LOST = (
    "the penalty is no longer attached to the optimizer: copying an optimizer, or building it anew, loses the "
    "hooks; call reg.bind(model, optimizer) with the ones in use."
)


class Attachment:
    """Terms, hooks and clock of one model and one optimizer: what is attached, not what is read."""

    def __init__(
        self,
        model: nn.Module,
        rules: Penalty | Sequence[Rule],
        optimizer: Optimizer | None,
        mode: Mode,
        metric: Metric,
        compile: bool,  # noqa: A002 - torch's word for it
    ) -> None:
        self._rules, self._mode, self._metric = rules, mode, metric
        self._compiled = Compiled() if compile else None
        self._clock, self._advanced = Clock(), False
        self._terms: list[Term] = []
        self._hooks: StepHooks | None = None
        self._watch = Watch(set(), set(), None)
        self._lost = False
        self._kept: dict[str, Tensor] = {}
        self._assignments: list[Assignment] = []
        self._optimizer: Optimizer | None = None
        self._first_lr: list[Factor] = []
        self.bind(model, optimizer)

    def bind(self, model: nn.Module, optimizer: Optimizer | None = None) -> Self:
        """Attach to a model, and an optimizer, anew: after either was copied, rebuilt or sharded.

        Rules are applied to the model as it is now; references of L2SP keep the weights first attached.

        Raises:
            ValueError: as `regularize` does.
        """
        check_wrapping(model)
        at_rest(model)
        self._kept |= references(self._terms)
        kept = self._kept
        assignments = assign(model, self._rules, self._mode)
        terms = [restored(term_of(row), kept) for row in assignments if row.penalty is not None]
        check_model(assignments, terms)
        check_sharded(terms)
        check_optimizer(optimizer, terms, self._metric)
        if self._compiled is not None:
            check_compile(terms)
            compile_now([t.parameter for t in terms], {t.mode for t in terms}, self._compiled)
        same = optimizer is not None and optimizer is self._optimizer
        self.remove()
        self._model, self._optimizer, self._lost = model, optimizer, False
        self._assignments = assignments
        self._take(terms)
        if optimizer is not None:
            self._hooks = StepHooks(optimizer, terms, self._clock, self._metric, self._compiled)
            if same and len(self._first_lr) == len(self._hooks.first_lr):
                self._hooks.first_lr = self._first_lr
            self._first_lr = self._hooks.first_lr
        acting = [t for t in terms if not is_zero(t.penalty)]
        elsewhere = [t for t in acting if t.mode != "loss" or has_constraint(t.penalty)]
        frozen = [(a.name, a.parameter) for a in assignments if a.reason == "frozen"]
        since = _sharded_since(acting)
        self._watch = Watch(_ids(self._in_loss), _ids(elsewhere), optimizer, since, frozen)
        if self._hooks is not None:
            self._hooks.watch = (
                self._watch
            )  # which lives as long as the hooks, though the regularizer is dropped
        self._path = path_to({id(t.module) for t in terms}, model)
        return self

    def _take(self, terms: list[Term]) -> None:
        """Penalise by these terms from now on."""
        self._terms, self._in_loss = terms, [t for t in terms if in_objective(t)]
        if self._hooks is not None:
            self._hooks.take(terms)

    def remove(self) -> None:
        """Detach: the optimizer and the model go on as if never regularized."""
        self._kept |= references(self._terms)
        if self._hooks is not None:
            self._hooks.remove()
        self._watch.remove()
        self._optimizer, self._hooks, self._terms, self._in_loss = None, None, [], []
        self._assignments = [
            a
            if a.penalty is None
            else replace(a, penalty=None, mode=None, reason="the regularizer was removed")
            for a in self._assignments
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy knows the copied model and optimizer, but must be bound before use: hooks are not copied."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(self.__dict__)
        twin._model = copy.deepcopy(self._model, memo)
        twin._optimizer = copy.deepcopy(self._optimizer, memo)
        twin._clock = copy.copy(self._clock)
        twin._compiled = None if self._compiled is None else Compiled()
        twin._hooks, twin._watch, twin._lost = None, Watch(set(), set(), None), True
        return twin

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "a Regularizer is attached to a model and an optimizer in memory and cannot be pickled: save "
            "reg.state_dict(), and call ridgeline.regularize() again where you load it."
        )

    def _check_attached(self) -> None:
        if self._lost or (self._hooks is not None and not self._hooks.alive()):
            raise RuntimeError(_LOST)

    def _check_path(self) -> None:
        """The cheap part of `_check_current`, for every step: whether modules stand where they stood."""
        if not torch.compiler.is_compiling() and any(
            parent._modules.get(key) is not child for parent, key, child in self._path
        ):
            self._check_current()

    def _check_current(self) -> None:
        """Raise when a layer was exchanged: its penalty would go on to be that of the old one."""
        held = {id(p) for p in self._model.parameters()}
        gone = [t for t in self._terms if any(id(p) not in held for p in t.parameters())]
        if gone:
            modules = {id(m) for m in self._model.modules()}
            gone = [t for t in gone if id(t.module) not in modules or not t.held()]
        if gone:
            raise RuntimeError(
                f"{', '.join(t.name for t in gone[:3])} of the model was exchanged since it was regularized; {REBIND}"
            )


def path_to(wanted: set[int], model: nn.Module) -> list[tuple[nn.Module, str, nn.Module]]:
    """(parent, name, child) for every step from the model to the modules with these ids."""
    found: list[tuple[nn.Module, str, nn.Module]] = []
    seen: dict[int, bool] = {}

    def leads(module: nn.Module) -> bool:
        if id(module) not in seen:
            seen[id(module)] = id(module) in wanted
            steps = [
                (module, key, child)
                for key, child in module._modules.items()
                if child is not None and leads(child)
            ]
            found.extend(steps)
            seen[id(module)] |= bool(steps)
        return seen[id(module)]

    leads(model)
    return found


def _sharded_since(terms: Sequence[Term]) -> Callable[[], bool]:
    return lambda: any(t.sharded_since() for t in terms)


def _ids(terms: Sequence[Term]) -> set[int]:
    return {id(p) for t in terms for p in t.parameters()}
