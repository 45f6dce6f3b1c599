"""A person's own penalty term: added to the loss as they wrote it, and asked whether it acts at all."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError, reason
from ridgeline.regularizer import assert_acting


@dataclass(frozen=True)
class OwnTerm:
    """A term by the import path of its factory.

    Attributes:
        make: (model, strength) -> a function without arguments that gives the term, shape ().
    """

    name: str
    make: Callable[[nn.Module, float], Callable[[], Tensor]]
    strength: float

    def of(self, model: nn.Module) -> Callable[[], Tensor]:
        """The term of one model.

        Raises:
            RidgelineError: where the factory fails, or does not give a function that gives one number.
        """
        try:
            term = self.make(model, self.strength)
            value = term()
        except Exception as error:  # a person's code may fail in any way
            raise RidgelineError(f"regularization.factory: {self.name} failed ({reason(error)}).") from error
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise RidgelineError(
                f"regularization.factory: {self.name} gave a {type(value).__name__}; it takes (model, strength) "
                f"and returns a function that gives a tensor of one number."
            )
        return term

    def audit(self, model: nn.Module, term: Callable[[], Tensor]) -> dict[str, object]:
        """A row of the audit: whether the term reaches any weight."""
        try:
            assert_acting(term, model)
            flags = []
        except AssertionError as error:
            flags = [f"assert_acting: {error}"]
        return {
            "name": self.name,
            "shape": "",
            "elements": 0,
            "penalised": not flags,
            "penalty": "own term",
            "strength": self.strength,
            "effective_strength": None,
            "mode": "loss",
            "rule": self.name,
            "reason": "added to the loss as written",
            "tied": "",
            "denormals": 0,
            "flags": flags,
        }


def total(terms: list[Callable[[], Tensor]]) -> Tensor | None:
    """The sum of the terms; None where there are none."""
    values = [term().reshape(()) for term in terms]
    return torch.stack(values).sum() if values else None
