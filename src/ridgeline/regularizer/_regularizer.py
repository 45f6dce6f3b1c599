"""The Regularizer: what a person reads of penalties attached to their model, and asks of them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ridgeline.penalties import Penalty
from ridgeline.regularizer._attachment import Attachment
from ridgeline.regularizer._audit import Audit, audit_of
from ridgeline.regularizer._data_gradients import check_between_steps
from ridgeline.regularizer._effect import Effect, effect_of
from ridgeline.regularizer._in_loss import penalty_in_graph
from ridgeline.regularizer._invariance import scale_invariant
from ridgeline.regularizer._many import total
from ridgeline.regularizer._measured import Run
from ridgeline.regularizer._response import Response, response_of
from ridgeline.regularizer._runner import Runner
from ridgeline.regularizer._sharded import local, summed
from ridgeline.regularizer._stand_in import Pairs, values
from ridgeline.regularizer._strengths import check_response
from ridgeline.regularizer._term import Term, references, restored, scheduled


class Regularizer(Attachment):
    """Penalties attached to one model; built by `ridgeline.regularize`, whose docstring has the modes."""

    def penalty(self) -> Tensor:
        """The whole penalty R(w), shape () or (lanes,), at least float32.

        Differentiable in mode "loss": add it to the loss. Detached in the other modes, where it acts in
        `optimizer.step()` and the value is for reporting.

        Raises:
            RuntimeError: when the optimizer's hooks were lost, or a schedule is never advanced.
        """
        self._check_attached()
        self._check_path()
        self._check_clock()
        inside = {id(t) for t in self._in_loss}
        besides = self._pairs([t for t in self._terms if id(t) not in inside])
        found = self._in_graph(besides)
        if found is None and besides:
            found = total(besides, self._compiled)
        return self._zero() if found is None else found

    def objective(self) -> Tensor | None:
        """What mode "loss" adds to the data loss; None where no term has that mode."""
        return self._in_graph([])

    def _in_graph(self, besides: Pairs) -> Tensor | None:
        pairs = self._pairs(self._in_loss)
        return penalty_in_graph(pairs, self._watch.reached, self._compiled, besides) if pairs else None

    def _pairs(self, terms: Sequence[Term]) -> list[tuple[Penalty, Tensor]]:
        return [(t.at(self._clock.step), t.tensor()) for t in terms]

    def _zero(self) -> Tensor:
        parameters = list(self._model.parameters())
        return torch.zeros((), device=parameters[0].device if parameters else "cpu")

    def terms(self) -> dict[str, Tensor]:
        """The value of each penalised tensor by name, detached."""
        self._check_attached()
        self._check_current()
        with torch.no_grad():
            found = values(self._pairs(self._terms))
        return {t.name: value for t, value in zip(self._terms, found, strict=True)}

    def log(self, prefix: str = "ridgeline/") -> dict[str, float]:
        """A flat dict for any logger: the penalty, each tensor's, and the share of exact zeros."""
        values = self.terms()
        found = {f"{prefix}penalty": float(sum((v.sum() for v in values.values()), self._zero()))}
        found |= {f"{prefix}penalty/{name}": float(v.sum()) for name, v in values.items()}
        tensors = [t.tensor().detach() for t in self._terms]
        count = sum(w.numel() for w in tensors)
        zeros = count - sum(map(int, summed([(torch.count_nonzero(local(w)), w) for w in tensors])))
        found[f"{prefix}exact_zeros"] = zeros / count if count else 0.0
        return found

    def audit(self, sample: Any = None) -> Audit:
        """Every parameter: penalised or not, by which rule, why, and what to look at.

        Args:
            sample: a batch as in training (a tensor, a tuple of arguments, or a dict of keyword arguments).
                With it, weights are flagged whose scale the output does not depend on, as before a
                normalization layer: a few forward passes a weight, in training mode, on copies.

        Raises:
            RuntimeError: when the optimizer's hooks were lost, or a layer was exchanged.
            RidgelineError: when the model cannot take the sample.
        """
        self._check_attached()
        self._check_current()
        first_lr = None if self._hooks is None else self._hooks.initial_lr
        penalised = [a for a in self._assignments if a.penalty is not None]
        invariant = {} if sample is None else scale_invariant(self._model, penalised, sample)
        return audit_of(self._assignments, self._optimizer, self._clock.step, first_lr, invariant)

    def effect(self, loss: Tensor) -> Effect:
        """How hard the penalty pulls at each tensor at this moment, beside the data.

        Args:
            loss: the data loss of one batch, with its graph and without the penalty. The graph is kept.

        Weights, gradients and the optimizer's state stay as they are; while it runs, two copies of the
        parameters and of that state are held. Data gradients are averaged over processes: of a
        DistributedDataParallel model where that itself was regularized, under fully_shard by a backward pass,
        which set_requires_gradient_sync(False) must not suppress.

        Raises:
            ValueError: for a loss without a graph, of several numbers, or with the penalty in it.
            RuntimeError: when the optimizer's hooks were lost, or its step cannot be made on a copy.

        Example:
            >>> import ridgeline
            >>> model = torch.nn.Linear(2, 1)
            >>> reg = ridgeline.regularize(model, ridgeline.L2(0.1))
            >>> [row["verdict"] for row in reg.effect(model(torch.ones(4, 2)).square().mean()).rows]
            ['acting']
        """
        self._check_attached()
        self._check_current()
        return effect_of(
            loss, self._terms, self._model, self._optimizer, self._clock, self._metric, self._first_lr
        )

    def response(
        self,
        step_fn: Callable[[int], Any],
        strengths: Sequence[float] | None = None,
        *,
        steps: int = 5,
        also: Sequence[Any] = (),
    ) -> Response:
        """What the strength changes: the same few steps at several strengths, from the state as it is now.

        The steps run without the penalty (three times, for the noise), at each strength and at ten times of
        it. Afterwards everything is as before, bit for bit: weights, buffers, gradients, optimizer, random
        states, this regularizer's clock, and what `step_fn` reaches by its variables: optimizers, schedulers,
        scalers, modules, averages of weights, the variables themselves. What cannot be set back, such as an
        iterator over batches, is noise. Over all and by tensor the verdict is "dead", "negligible" (within the
        noise), "saturated" (ten times the strength changes nothing more), "dominating" (the data no longer
        matters) or "acting".

        Args:
            step_fn: one whole training step, forward to `optimizer.step()`; a function of its number, 0 to
                steps − 1, and of the random state: fetch batches by number. It may return the loss.
            strengths: tried on every penalised tensor, above 0; by default the strengths as they are set.
            steps: ≥ 1.
            also: what else has a state to be set back, where `step_fn` reaches it in another way.

        Raises:
            ValueError: for no strength that could change, or no optimizer that could be set back.

        Example:
            >>> import ridgeline
            >>> model, x = torch.nn.Linear(2, 1), torch.ones(4, 2)
            >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            >>> reg = ridgeline.regularize(model, ridgeline.L2(0.1), optimizer=optimizer, mode="coupled")
            >>> def step(i):
            ...     optimizer.zero_grad()
            ...     model(x).square().mean().backward()
            ...     optimizer.step()
            >>> reg.response(step).overall
            {'as set': 'acting'}
        """
        self._check_attached()
        self._check_current()
        numbers = check_response(strengths, steps)
        check_between_steps(self._model, "reg.response()")
        runner = Runner(self._model, self._optimizer, step_fn, also, steps)
        terms, clock = self._terms, self._clock.step
        self._watch.paused = True

        def run(changed: Sequence[Term], nudged: bool) -> tuple[Run, list[float]]:
            others = {t.name: t for t in changed}
            self._take([others.get(t.name, t) for t in terms])
            self._clock.step = clock
            return runner.run(changed, nudged)

        try:
            return response_of(terms, run, numbers, steps)
        finally:
            self._take(terms)
            self._clock.step, self._watch.paused = clock, False
            runner.restore()

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
        """The clock, the references of L2SP, and η₀ of each group, for mode "independent"."""
        rates = [float(rate) for rate in self._first_lr]
        return {"clock": self._clock.step, "references": references(self._terms), "first_lr": rates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            ValueError: for something else, or the state of other rules or another model.
        """
        if not {"clock", "references"} <= set(state):
            raise ValueError(
                f"reg.load_state_dict() got the keys {sorted(map(str, state))}; give what reg.state_dict() returned."
            )
        lacking = references(self._terms).keys() - state["references"].keys()
        if lacking:
            raise ValueError(
                f"reg.load_state_dict() got no reference for {', '.join(sorted(lacking)[:3])}, which L2SP returns to; "
                f"load a state of the same rules."
            )
        terms = [restored(term, state["references"]) for term in self._terms]
        self._clock.step = int(state["clock"])
        self._take(terms)
        rates = list(state.get("first_lr", ()))
        if self._hooks is not None and len(rates) == len(self._first_lr):
            self._first_lr = self._hooks.first_lr = rates
