"""What the rest of Ridgeline asks of a penalty, and how penalties are added."""

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, Self, TypeAlias, runtime_checkable

from torch import Tensor

if TYPE_CHECKING:
    from ridgeline.penalties._sum import Sum

# What a penalty is to the proximal operator of a sum: which parts compose exactly, and in what order.
Role: TypeAlias = Literal["quadratic", "absolute", "group", "constraint", "other"]


@runtime_checkable
class Penalty(Protocol):
    """An immutable function R(w) ≥ 0 of one tensor."""

    @property
    def has_prox(self) -> bool: ...

    def value(self, w: Tensor) -> Tensor: ...

    def gradient(self, w: Tensor) -> Tensor: ...

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor: ...


class Addable:
    """Penalties add: `L1(0.1) + L2(0.01)`."""

    __slots__ = ()

    role: ClassVar[Role] = "other"

    def __add__(self, other: Penalty) -> "Sum":
        from ridgeline.penalties._sum import Sum  # Sum is itself Addable

        if not isinstance(other, Penalty):
            return NotImplemented
        assert isinstance(self, Penalty)
        return Sum((self, other))

    def __radd__(self, other: object) -> Self:
        if other == 0 and isinstance(other, int):  # where sum() begins
            return self
        return NotImplemented
