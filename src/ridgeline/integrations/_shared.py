"""What the integrations share: a missing library, and rules that wait for a model and an optimizer."""

import weakref
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError
from ridgeline.penalties import Penalty
from ridgeline.regularizer import Audit, Metric, Regularizer, regularize
from ridgeline.regularizer._sharded import is_sharded
from ridgeline.select import MODES, Mode, Rule


def missing(extra: str, error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error of a module whose library is not installed, with the remedy."""
    return ModuleNotFoundError(
        f"ridgeline.integrations.{extra} needs {error.name}, which the base install leaves out: "
        f"pip install 'ridgeline[{extra}]'.",
        name=error.name,
    )


class Waiting:
    """Rules of a callback, from the time it is written down to the end of training.

    Attributes:
        regularizer: what `ridgeline.regularize` gave, while training runs; None before and after.
    """

    def __init__(
        self,
        rules: Penalty | Sequence[Rule],
        mode: Mode,
        metric: Metric,
        compile: bool,  # noqa: A002 - torch's word for it
    ) -> None:
        _refuse_loss(rules, mode)
        self.rules, self.mode, self.metric, self.compile = rules, mode, metric, compile
        self.regularizer: Regularizer | None = None
        self._model: weakref.ref[nn.Module] | None = None
        self._state: dict[str, Any] = {}

    def attach(self, model: nn.Module, optimizer: Optimizer) -> Audit:
        """Penalise this model in the steps of this optimizer, with the state that was kept or loaded."""
        self.detach()
        reg = regularize(
            model,
            self.rules,
            optimizer=optimizer,
            mode=self.mode,
            metric=self.metric,
            compile=self.compile,
        )
        self.regularizer, self._model = reg, weakref.ref(model)
        if self._state:
            reg.load_state_dict(self._state)
        return reg.audit()

    def detach(self) -> None:
        """Leave the optimizer alone; the state is kept for a checkpoint written later."""
        if self.regularizer is not None:
            self._state = self.regularizer.state_dict()
            self.regularizer.remove()
        self.regularizer = None

    def forget_unless(self, model: nn.Module) -> None:
        """Drop a state that belongs to another model than this one."""
        if self._model is not None and self._model() is not model:
            self._state = {}

    def state_dict(self) -> dict[str, Any]:
        """As of the regularizer: the clock, the references of L2SP, …; before the first training, nothing.

        Of a sharded model every process must ask.
        """
        return whole(self._now())

    def _now(self) -> dict[str, Any]:
        return self._state if self.regularizer is None else self.regularizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, now or as soon as training starts."""
        self._state, self._model = state, None
        if self.regularizer is not None and state:
            self.regularizer.load_state_dict(state)

    def __getstate__(self) -> dict[str, Any]:
        """Copies and pickles, as for processes and searches, are not attached; they keep the state."""
        return {**self.__dict__, "regularizer": None, "_model": None, "_state": self._now()}


class Kept:
    """A regularizer for a checkpoint that one process writes and every process reads.

    Of a sharded model every process must ask for the state.
    """

    def __init__(self, regularizer: Regularizer) -> None:
        self._regularizer = regularizer

    def state_dict(self) -> dict[str, Any]:
        """As of the regularizer, with whole tensors."""
        return whole(self._regularizer.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, each process with its shards."""
        self._regularizer.load_state_dict(state)


def whole(state: dict[str, Any]) -> dict[str, Any]:
    """A regularizer's state without shards: a file that one process writes would hold only its own."""
    references: dict[str, Tensor] = state.get("references", {})
    return {**state, "references": {name: _gathered(w) for name, w in references.items()}} if state else state


def _gathered(w: Tensor) -> Tensor:
    if not is_sharded(w):
        return w
    full: Tensor = w.full_tensor()
    return full.cpu()  # one at a time: all of them may be more than a device holds


def _refuse_loss(rules: Penalty | Sequence[Rule], mode: Mode) -> None:
    """Refuse what a callback cannot do, when it is written down and not minutes later."""
    if mode not in MODES:
        raise RidgelineError(f"mode is {mode!r}; allowed: {', '.join(map(repr, MODES[1:]))}.")
    named = [] if isinstance(rules, Penalty) else [rule.mode for rule in rules if isinstance(rule, Rule)]
    if "loss" in (mode, *named):
        raise RidgelineError(
            "mode 'loss' adds the penalty to the loss, which a callback cannot do; use mode='coupled', whose "
            "gradient is the same, or call ridgeline.regularize() yourself and add reg.penalty() to your loss."
        )
