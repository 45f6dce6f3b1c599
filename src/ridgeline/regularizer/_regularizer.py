"""The Regularizer: penalties attached to one model and, where they act there, to its optimizer."""

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._audit import Audit, audit_of
from ridgeline.regularizer._check import check_compile, check_model, check_optimizer
from ridgeline.regularizer._compiled import Compiled, compile_now
from ridgeline.regularizer._forgotten import Watch
from ridgeline.regularizer._hooks import Clock, StepHooks
from ridgeline.regularizer._in_loss import penalty_in_graph, total
from ridgeline.regularizer._term import (
    Term,
    has_constraint,
    in_objective,
    is_zero,
    references,
    restored,
    scheduled,
    term_of,
)
from ridgeline.select import Mode, Rule, assign

Metric: TypeAlias = Literal["optimizer", "euclidean"]

_LOST = (
    "the penalty is no longer attached to the optimizer: copying an optimizer, or building it anew, loses the "
    "hooks; call reg.bind(model, optimizer) with the ones in use."
)


class Regularizer:
    """Penalties attached to one model; built by `ridgeline.regularize`, whose docstring has the modes."""

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
        self.bind(model, optimizer)

    # --- attaching ------------------------------------------------------------------------------------

    def bind(self, model: nn.Module, optimizer: Optimizer | None = None) -> Self:
        """Attach to a model, and an optimizer, anew: after either was copied or rebuilt.

        Rules are applied to the model as it is now; references of L2SP keep the weights first attached.

        Raises:
            ValueError: as `regularize` does.
        """
        kept = references(self._terms)
        assignments = assign(model, self._rules, self._mode)
        terms = [restored(term_of(row), kept) for row in assignments if row.penalty is not None]
        check_model(assignments, terms)
        check_optimizer(optimizer, terms, self._metric)
        if self._compiled is not None:
            check_compile(terms)
            compile_now([t.parameter for t in terms])
        self.remove()
        self._model, self._optimizer, self._lost = model, optimizer, False
        self._assignments, self._terms = assignments, terms
        self._in_loss = [t for t in terms if in_objective(t)]
        if optimizer is not None:
            self._hooks = StepHooks(optimizer, terms, self._clock, self._metric, self._compiled)
        acting = [t for t in terms if not is_zero(t.penalty)]
        elsewhere = [t for t in acting if t.mode != "loss" or has_constraint(t.penalty)]
        self._watch = Watch(_ids(self._in_loss), _ids(elsewhere), optimizer)
        return self

    def remove(self) -> None:
        """Detach: the optimizer and the model go on as if never regularized."""
        if self._hooks is not None:
            self._hooks.remove()
        self._watch.remove()
        self._optimizer, self._hooks, self._terms, self._in_loss = None, None, [], []

    def __deepcopy__(self, memo: dict[int, Any]) -> "Regularizer":
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

    def _check_current(self) -> None:
        """Raise when a layer was exchanged: its penalty would go on to be that of the old one."""
        held = {id(p) for p in self._model.parameters()}
        gone = [t.name for t in self._terms if any(id(p) not in held for p in t.parameters())]
        if gone:
            raise RuntimeError(
                f"{', '.join(gone[:3])} of the model was exchanged since it was regularized; call "
                f"reg.bind(model, optimizer) with the ones in use."
            )

    # --- reading --------------------------------------------------------------------------------------

    def penalty(self) -> Tensor:
        """The whole penalty R(w), shape () or (lanes,), at least float32.

        Differentiable in mode "loss": add it to the loss. Detached in the other modes, where it acts in
        `optimizer.step()` and the value is for reporting.

        Raises:
            RuntimeError: when the optimizer's hooks were lost, or a schedule is never advanced.
        """
        self._check_attached()
        self._check_clock()
        inside, outside = self.objective(), self._outside()
        if inside is not None and outside is not None:
            return inside + outside
        found = outside if inside is None else inside
        return self._zero() if found is None else found

    def objective(self) -> Tensor | None:
        """What mode "loss" adds to the data loss; None where no term has that mode."""
        pairs = [(t.at(self._clock.step), t.tensor()) for t in self._in_loss]
        return penalty_in_graph(pairs, self._watch.reached, self._compiled) if pairs else None

    def _outside(self) -> Tensor | None:
        inside = {id(t) for t in self._in_loss}
        pairs = [(t.at(self._clock.step), t.tensor()) for t in self._terms if id(t) not in inside]
        with torch.no_grad():
            return total(pairs, self._compiled) if pairs else None

    def _zero(self) -> Tensor:
        parameters = list(self._model.parameters())
        return torch.zeros((), device=parameters[0].device if parameters else "cpu")

    def terms(self) -> dict[str, Tensor]:
        """The value of each penalised tensor by name, detached."""
        self._check_attached()
        self._check_current()
        with torch.no_grad():
            return {t.name: total([(t.at(self._clock.step), t.tensor())]) for t in self._terms}

    def log(self, prefix: str = "ridgeline/") -> dict[str, float]:
        """A flat dict for any logger: the penalty, each tensor's, and the share of exact zeros."""
        values = self.terms()
        found = {f"{prefix}penalty": float(sum((v.sum() for v in values.values()), self._zero()))}
        found |= {f"{prefix}penalty/{name}": float(v.sum()) for name, v in values.items()}
        count = sum(t.tensor().numel() for t in self._terms)
        zeros = count - sum(int(torch.count_nonzero(t.tensor().detach())) for t in self._terms)
        found[f"{prefix}exact_zeros"] = zeros / count if count else 0.0
        return found

    def audit(self) -> Audit:
        """Every parameter: penalised or not, by which rule, why, and what to look at."""
        self._check_attached()
        self._check_current()
        first_lr = None if self._hooks is None else self._hooks.initial_lr
        return audit_of(self._assignments, self._optimizer, self._clock.step, first_lr)

    # --- time -----------------------------------------------------------------------------------------

    def _check_clock(self) -> None:
        if self._optimizer is not None or self._advanced or not self._watch.steps:
            return
        if any(scheduled(t.penalty) for t in self._terms):
            raise RuntimeError(
                "a strength schedule stands still: no optimizer is bound; call reg.advance() after each step, or "
                "pass optimizer= to regularize()."
            )

    def advance(self, steps: int = 1) -> None:
        """Move the clock of strength schedules where no optimizer is bound.

        Raises:
            RuntimeError: when an optimizer is bound, whose steps are the clock.
        """
        if self._optimizer is not None:
            raise RuntimeError("the bound optimizer's steps are the clock; leave reg.advance() out.")
        self._clock.step, self._advanced = self._clock.step + steps, True

    def state_dict(self) -> dict[str, Any]:
        """The clock and the references of L2SP."""
        return {"clock": self._clock.step, "references": references(self._terms)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._clock.step = int(state["clock"])
        self._terms = [restored(term, state["references"]) for term in self._terms]
        self._in_loss = [t for t in self._terms if in_objective(t)]
        if self._hooks is not None:
            self._hooks.take(self._terms)


def _ids(terms: Sequence[Term]) -> set[int]:
    return {id(p) for t in terms for p in t.parameters()}
