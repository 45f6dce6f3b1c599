"""The Regularizer: penalties attached to one model and, where they act there, to its optimizer."""

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer import _step as steps
from ridgeline.regularizer._audit import Audit, audit_of
from ridgeline.regularizer._check import check_model, check_optimizer
from ridgeline.regularizer._forgotten import watch
from ridgeline.regularizer._in_loss import penalty_in_graph, total
from ridgeline.regularizer._kernels import Factor, fold
from ridgeline.regularizer._native import native_groups
from ridgeline.regularizer._split import natively, split
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
from ridgeline.select import MODES, Mode, Rule, assign

Metric: TypeAlias = Literal["optimizer", "euclidean"]

_FORGOTTEN = (
    "an optimizer stepped on penalised parameters without a backward pass through reg.penalty(): add it to the "
    "loss, loss = criterion(...) + reg.penalty(), or use mode='coupled' with optimizer=. This is said once."
)
_LOST = (
    "the penalty is no longer attached to the optimizer: copying an optimizer, or building it anew, loses the "
    "hooks; call reg.bind(model, optimizer) with the ones in use."
)
_OTHER = (
    "another optimizer than the bound one stepped on penalised parameters, so the penalty did not act: call "
    "reg.bind(model, optimizer) with the optimizer in use. This is said once."
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
    ) -> None:
        self._rules, self._mode, self._metric = rules, mode, metric
        self._clock, self._advanced, self._unclocked = 0, False, 0
        self._handles: list[Any] = []
        self._native: list[tuple[dict[str, Any], float]] = []
        self._given: frozenset[float] = frozenset()  # what was ever written as native weight decay
        self._terms: list[Term] = []
        self._by_hook: dict[int, Term] = {}
        self._whole: list[dict[str, Any]] | None = None
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
        check_optimizer(optimizer, terms, self._metric, self._given)
        self._detach()
        self._model, self._optimizer = model, optimizer
        self._assignments, self._terms = assignments, terms
        self._in_loss = [t for t in terms if in_objective(t)]
        self._scheduled = any(scheduled(t.penalty) for t in terms)
        self._backward_seen, self._said, self._lost = False, False, False
        self._stepped: set[int] = set()
        self._watched = {id(p) for t in self._in_loss for p in t.parameters()}
        self._first_lr: list[Factor] = []
        self._by_id: dict[int, Term] = {}
        if optimizer is not None:
            self._attach(optimizer)
        elsewhere = [t for t in terms if t.mode != "loss" or has_constraint(t.penalty)]
        self._bound = {id(p) for t in elsewhere if not is_zero(t.penalty) for p in t.parameters()}
        if self._watched or self._bound:
            self._handles += watch(self)
        return self

    def _attach(self, optimizer: Optimizer) -> None:
        acting = [t for t in self._terms if not is_zero(t.penalty)]
        self._by_id = {id(t.parameter): t for t in acting if not t.effective}
        for group in optimizer.param_groups:  # ours, kept by a copy of the optimizer
            if group.get("weight_decay") in self._given and any(
                id(p) in self._by_id for p in group["params"]
            ):
                group["weight_decay"] = 0.0
        self._native = native_groups(optimizer, self._by_id)
        self._given |= {strength for _, strength in self._native}
        for group, strength in self._native:
            group["weight_decay"] = strength
            for p in group["params"]:
                del self._by_id[id(p)]
        self._first_lr = [fold(g.get("initial_lr", g["lr"])) for g in optimizer.param_groups]
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
            optimizer.register_load_state_dict_post_hook(self._after_load),
            optimizer.register_state_dict_pre_hook(lambda _: self._join()),  # after a step that raised
        ]
        self._hooks = self._handles[:2]

    def _detach(self) -> None:
        self._join()
        for handle in self._handles:
            handle.remove()
        for group, strength in self._native:
            if group.get("weight_decay") == strength:
                group["weight_decay"] = 0.0
        self._handles, self._native = [], []

    def remove(self) -> None:
        """Detach: the optimizer and the model go on as if never regularized."""
        self._detach()
        self._optimizer, self._terms, self._in_loss = None, [], []
        self._by_id, self._watched, self._bound = {}, set(), set()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Regularizer":
        """A copy knows the copied model and optimizer, but must be bound before use: hooks are not copied."""
        twin = object.__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(self.__dict__)
        twin._model = copy.deepcopy(self._model, memo)
        twin._optimizer = copy.deepcopy(self._optimizer, memo)
        twin._handles, twin._native, twin._lost = [], [], True
        twin._by_hook, twin._whole = {}, None
        return twin

    def __getstate__(self) -> dict[str, Any]:
        raise TypeError(
            "a Regularizer is attached to a model and an optimizer in memory and cannot be pickled: save "
            "reg.state_dict(), and call ridgeline.regularize() again where you load it."
        )

    _lost = False

    def _check_attached(self) -> None:
        if self._lost and not self._handles:
            raise RuntimeError(_LOST)
        optimizer = self._optimizer
        if optimizer is not None and (self._by_id or self._native):
            alive = self._hooks[0].id in optimizer._optimizer_step_pre_hooks
            if not alive or any(group.get("weight_decay") != strength for group, strength in self._native):
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
        if self._scheduled and self._optimizer is None and not self._advanced and self._unclocked:
            raise RuntimeError(
                "a strength schedule stands still: no optimizer is bound; call reg.advance() after each step, or "
                "pass optimizer= to regularize()."
            )
        inside, outside = self.objective(), self._outside()
        if inside is not None and outside is not None:
            return inside + outside
        found = outside if inside is None else inside
        return self._zero() if found is None else found

    def objective(self) -> Tensor | None:
        """What mode "loss" adds to the data loss; None where no term has that mode."""
        pairs = [(t.at(self._clock), t.tensor()) for t in self._in_loss]
        return penalty_in_graph(pairs, self._reached) if pairs else None

    def _outside(self) -> Tensor | None:
        inside = {id(t) for t in self._in_loss}
        pairs = [(t.at(self._clock), t.tensor()) for t in self._terms if id(t) not in inside]
        with torch.no_grad():
            return total(pairs) if pairs else None

    def _zero(self) -> Tensor:
        parameters = list(self._model.parameters())
        return torch.zeros((), device=parameters[0].device if parameters else "cpu")

    def terms(self) -> dict[str, Tensor]:
        """The value of each penalised tensor by name, detached."""
        self._check_attached()
        self._check_current()
        with torch.no_grad():
            return {t.name: total([(t.at(self._clock), t.tensor())]) for t in self._terms}

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
        native = [group for group, _ in self._native]
        return audit_of(self._assignments, self._optimizer, native, self._clock, self._initial_lr)

    # --- time -----------------------------------------------------------------------------------------

    def advance(self, steps: int = 1) -> None:
        """Move the clock of strength schedules where no optimizer is bound.

        Raises:
            RuntimeError: when an optimizer is bound, whose steps are the clock.
        """
        if self._optimizer is not None:
            raise RuntimeError("the bound optimizer's steps are the clock; leave reg.advance() out.")
        self._clock, self._advanced = self._clock + steps, True

    def state_dict(self) -> dict[str, Any]:
        """The clock and the references of L2SP."""
        return {"clock": self._clock, "references": references(self._terms)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave."""
        self._clock = int(state["clock"])
        self._terms = [restored(term, state["references"]) for term in self._terms]
        self._in_loss = [t for t in self._terms if in_objective(t)]
        self._by_id = {id(t.parameter): t for t in self._terms if id(t.parameter) in self._by_id}

    # --- around the step ------------------------------------------------------------------------------

    def _reached(self) -> None:
        self._backward_seen = True
        self._stepped.clear()

    def _before_any_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if optimizer is not self._optimizer:
            self._check_same(optimizer)
        if steps.closure_of(args, kwargs) is None:
            self._check_used(optimizer)

    def _check_same(self, optimizer: Optimizer) -> None:
        """Raise, once, when another optimizer than the bound one is about to move what we act on."""
        held = (p for group in optimizer.param_groups for p in group["params"])
        if not self._said and any(id(p) in self._bound and p.grad is not None for p in held):
            self._said = True
            raise RuntimeError(_OTHER)

    def _check_used(self, optimizer: Optimizer) -> None:
        """Raise, once, when penalised parameters are about to move without their penalty."""
        if self._said or (self._backward_seen and id(optimizer) not in self._stepped):
            return
        for group in optimizer.param_groups:
            for p in group["params"]:
                if id(p) in self._watched and p.grad is not None:
                    self._said = True
                    raise RuntimeError(_FORGOTTEN)

    def _after_any_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if steps.closure_of(args, kwargs) is not None:
            self._check_used(optimizer)
        if any(id(p) in self._watched for group in optimizer.param_groups for p in group["params"]):
            self._stepped.add(id(optimizer))  # one backward pass serves each of several optimizers once
            self._unclocked += self._optimizer is None

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        self._split(optimizer)
        closure = steps.closure_of(args, kwargs)
        if closure is not None:
            return steps.with_closure(args, kwargs, self._around(optimizer, closure))
        self._act_before(optimizer)
        return None

    def _split(self, optimizer: Optimizer) -> None:
        """Hand plain L2 to the optimizer's own weight decay for this step; the rest is for the hook."""
        self._join()
        self._by_hook = dict(self._by_id)
        if torch.compiler.is_compiling():
            return
        inside: dict[int, tuple[float, str]] = {}
        for key, term in self._by_id.items():
            taken = natively(optimizer, term, self._clock)
            if taken is not None:
                strength, rest = taken
                inside[key] = (strength, term.mode)
                del self._by_hook[key]
                if rest is not None:
                    self._by_hook[key] = rest
        if inside:
            self._whole = split(optimizer, inside)

    def _join(self) -> None:
        """Give the optimizer its own groups back; also after a step that raised."""
        if self._whole is not None and self._optimizer is not None:
            self._optimizer.param_groups = self._whole
        self._whole = None

    def _around(self, optimizer: Optimizer, closure: Any) -> Any:
        """The closure as the optimizer calls it: the loss with R, gradients with ∇R."""

        def wrapped() -> Any:
            with torch.enable_grad():
                loss = closure()
            self._act_before(optimizer)
            pairs = [(t.at(self._clock), t.tensor()) for t in self._terms if t.mode == "coupled"]
            if not pairs or loss is None:
                return loss
            with torch.no_grad():
                return loss + total(pairs)

        return wrapped

    def _act_before(self, optimizer: Optimizer) -> None:
        found = steps.members(optimizer, self._by_hook)
        steps.add_coupled(optimizer, [m for m in found if m[0].mode == "coupled"], self._clock)
        steps.add_coupled_effective(optimizer, [t for t in self._terms if t.effective], self._clock)
        decayed = [m for m in found if m[0].mode in ("decoupled", "independent")]
        steps.decay(optimizer, decayed, self._clock, self._initial_lr)

    def _initial_lr(self, group: dict[str, Any]) -> Factor:
        assert self._optimizer is not None
        if "initial_lr" in group:
            return fold(group["initial_lr"])
        place = next(i for i, g in enumerate(self._optimizer.param_groups) if g is group)
        return self._first_lr[min(place, len(self._first_lr) - 1)]

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self._join()
        found = [
            m
            for m in steps.members(optimizer, self._by_id)
            if m[0].mode == "proximal" or has_constraint(m[0].penalty)
        ]
        steps.prox(optimizer, found, self._clock, self._metric)
        self._clock += not (self._scheduled and steps.skipped(optimizer))

    def _after_load(self, optimizer: Optimizer) -> None:
        """Loading a state replaces the groups: find them again, and assert our weight decay."""
        strengths = [strength for _, strength in self._native]
        held = [{id(p) for p in group["params"]} for group, _ in self._native]
        self._native = [
            (group, strength)
            for group in optimizer.param_groups
            for strength, ids in zip(strengths, held, strict=True)
            if {id(p) for p in group["params"]} == ids
        ]
        for group, strength in self._native:
            group["weight_decay"] = strength


def check_mode(mode: object, metric: object) -> None:
    """Refuse unknown words.

    Raises:
        ValueError: naming what is allowed.
    """
    if mode not in MODES:
        raise ValueError(f"regularize: mode is {mode!r}; allowed: {', '.join(map(repr, MODES))}.")
    if metric not in ("optimizer", "euclidean"):
        raise ValueError(f"regularize: metric is {metric!r}; allowed: 'optimizer', 'euclidean'.")
