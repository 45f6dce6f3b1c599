"""regularize(): penalties attached to a person's own model and optimizer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._audit import Audit, audit_of
from ridgeline.select import MODES, Mode, Rule, assign


def regularize(
    model: nn.Module,
    rules: Penalty | Sequence[Rule],
    *,
    optimizer: Optimizer | None = None,
    mode: Mode = "loss",
) -> "Regularizer":
    """Attach penalties to a model.

    Args:
        model: any module.
        rules: one penalty, which the default selection gives to every weight and to no bias or
            normalization parameter, or a list of `Rule`s, of which the first match wins.
        optimizer: needed by mode "coupled", whose penalty acts in `optimizer.step()`.
        mode: "loss": add `reg.penalty()` to the loss yourself; "coupled": g ← g + ∇R before the
            optimizer's rule, the same gradient as "loss" for every optimizer.

    Raises:
        ValueError: for an unknown mode, a rule that matches nothing, a mode that lacks its optimizer, or
            a penalised parameter that the optimizer does not hold.

    Example:
        >>> import torch, ridgeline
        >>> model = torch.nn.Linear(2, 1)
        >>> _ = torch.nn.init.constant_(model.weight, 1.0)
        >>> reg = ridgeline.regularize(model, ridgeline.L2(0.5))
        >>> reg.penalty()
        tensor(0.5000, grad_fn=...)
    """
    if mode not in MODES:
        raise ValueError(f"regularize: mode is {mode!r}; allowed: {', '.join(map(repr, MODES))}.")
    return Regularizer(model, rules, optimizer, mode)


class Regularizer:
    """Penalties attached to one model; built by `regularize`."""

    def __init__(
        self,
        model: nn.Module,
        rules: Penalty | Sequence[Rule],
        optimizer: Optimizer | None,
        mode: Mode,
    ) -> None:
        self._assignments = assign(model, rules, mode)
        self._in_loss = [a for a in self._assignments if a.mode == "loss"]
        self._coupled = [a for a in self._assignments if a.mode == "coupled"]
        self._hook: Any = None
        if self._coupled:
            if optimizer is None:
                raise ValueError(
                    "regularize: mode 'coupled' acts in optimizer.step(); pass optimizer=, or use mode='loss'."
                )
            held = {id(p) for group in optimizer.param_groups for p in group["params"]}
            missing = [a.name for a in self._coupled if id(a.parameter) not in held]
            if missing:
                raise ValueError(
                    f"regularize: the optimizer does not hold {', '.join(missing)}; add these parameters to "
                    f"it, or exempt them by a Rule with penalty None."
                )
            self._hook = optimizer.register_step_pre_hook(self._add_gradients)

    def penalty(self) -> Tensor:
        """The whole penalty, shape (): differentiable in mode "loss", detached in "coupled"."""
        total = self._total()
        if self._coupled:
            with torch.no_grad():
                for a in self._coupled:
                    assert a.penalty is not None
                    total = total + a.penalty.value(a.parameter)
        return total

    def objective(self) -> Tensor | None:
        """What mode "loss" adds to the data loss; None where no rule has that mode."""
        return self._total() if self._in_loss else None

    def _total(self) -> Tensor:
        device = self._assignments[0].parameter.device
        total = torch.zeros((), device=device)
        for a in self._in_loss:
            assert a.penalty is not None
            total = total + a.penalty.value(a.parameter)
        return total

    def terms(self) -> dict[str, Tensor]:
        """The value of each penalised parameter, by name, detached, shape () each."""
        with torch.no_grad():
            return {a.name: a.penalty.value(a.parameter) for a in self._assignments if a.penalty is not None}

    def audit(self) -> Audit:
        """Every parameter: penalised or not, by which rule, and why."""
        return audit_of(self._assignments)

    def remove(self) -> None:
        """Detach from the optimizer; the model trains as if never regularized."""
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _add_gradients(self, *_: object) -> None:
        with torch.no_grad():
            for a in self._coupled:
                assert a.penalty is not None
                if a.parameter.grad is not None:
                    a.parameter.grad.add_(a.penalty.gradient(a.parameter))
