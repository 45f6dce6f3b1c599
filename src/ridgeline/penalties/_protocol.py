"""What the rest of Ridgeline asks of a penalty."""

from typing import Protocol, Self, runtime_checkable

from torch import Tensor

from ridgeline.penalties._strength import Strength


@runtime_checkable
class Penalty(Protocol):
    """An immutable function R(w) ≥ 0 of one tensor."""

    @property
    def strength(self) -> Strength: ...

    @property
    def has_prox(self) -> bool: ...

    def value(self, w: Tensor) -> Tensor: ...

    def gradient(self, w: Tensor) -> Tensor: ...

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor: ...

    def with_strength(self, strength: Strength) -> Self: ...
