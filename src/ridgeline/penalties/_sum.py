"""Sums of penalties on the same tensor."""

from collections.abc import Sequence
from typing import NoReturn

import torch
from torch import Tensor

from ridgeline.penalties._protocol import Addable, Penalty
from ridgeline.penalties._separable import ElasticNet, Separable
from ridgeline.penalties._strength import Strength, lanes_of

_ORDER = ("absolute", "group", "constraint")


class Sum(Addable):
    """The sum of several penalties on one tensor; made by `+`.

    R(w) = Σ R_k(w).

    The proximal operator is exact where the parts compose: any L1, L2, L2SP and elastic net, at most one
    GroupLasso or Norm after them, and a MaxNorm last. Other sums refuse it by name.

    Example:
        >>> import torch
        >>> from ridgeline import L1, L2
        >>> (L1(0.5) + L2(0.5)).value(torch.tensor([[5.0, -2.0], [-3.0, 1.0]]))
        tensor(15.2500)
    """

    __slots__ = ("parts",)

    parts: tuple[Penalty, ...]

    def __init__(self, parts: Sequence[Penalty]) -> None:
        flat: list[Penalty] = []
        for part in parts:
            flat += list(part.parts) if isinstance(part, Sum) else [part]
        if len({lanes_of(getattr(part, "strength", 0.0)) for part in flat}) > 1:
            names = " + ".join(type(part).__name__ for part in flat)
            raise ValueError(
                f"{names}: give one strength a lane, shape (lanes,), to all of its parts, or to none."
            )
        object.__setattr__(self, "parts", tuple(flat))

    def __reduce__(self) -> tuple[type["Sum"], tuple[tuple[Penalty, ...]]]:
        return Sum, (self.parts,)  # copying and pickling would set attributes

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Sum is immutable; {name} cannot be set.")

    def __repr__(self) -> str:
        return " + ".join(map(repr, self.parts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(self.parts)

    def with_strength(self, strength: Strength) -> NoReturn:
        """A sum has no strength of its own.

        Raises:
            TypeError: always, with the remedy.
        """
        raise TypeError(
            f"{' + '.join(type(part).__name__ for part in self.parts)} has one strength a part, so "
            f"with_strength({strength!r}) has no meaning; add parts with the strengths you want."
        )

    def value(self, w: Tensor) -> Tensor:
        """Σ R_k(w), shape () or (lanes,), at least float32, differentiable."""
        return torch.stack([part.value(w) for part in self.parts]).sum(0)

    def gradient(self, w: Tensor) -> Tensor:
        """Σ ∇R_k(w), like w."""
        found = [part.gradient(w) for part in self.parts]
        return torch.stack(found).sum(0)

    def _elementary(self) -> list[Penalty]:
        """The parts with elastic nets taken apart into L1 and L2."""
        flat: list[Penalty] = []
        for part in self.parts:
            flat += part.split() if isinstance(part, ElasticNet) else [part]
        return flat

    def _obstacle(self) -> str:
        """Why the parts do not compose; empty when they do."""
        parts = self._elementary()
        roles = [getattr(part, "role", "other") for part in parts]
        for part, role in zip(parts, roles, strict=True):
            if not part.has_prox:
                return f"{type(part).__name__} has no proximal operator"
            if role == "other":
                return f"that of {type(part).__name__} does not compose with others"
        for role, name in (("group", "group penalties"), ("constraint", "constraints")):
            if roles.count(role) > 1:
                return f"two {name} do not compose"
        dims = {
            getattr(p, "dim", None)
            for p, role in zip(parts, roles, strict=True)
            if role in ("group", "constraint")
        }
        if len(dims) > 1:
            return "groups and constraint must lie along the same dim"
        return ""

    @property
    def has_prox(self) -> bool:
        """Whether the proximal operator is known to be exact."""
        return not self._obstacle()

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + ½ Σ (u − w)²/step, like w.

        Quadratic parts are folded into the step first, ½h(u−w)² + ½λ(u−c)² being quadratic again; then
        come L1, the group penalty, the constraint.

        Raises:
            TypeError: naming the parts that do not compose.
        """
        obstacle = self._obstacle()
        if obstacle:
            names = " + ".join(type(part).__name__ for part in self.parts)
            raise TypeError(
                f"{names} has no exact proximal operator: {obstacle}; use mode 'loss' or 'coupled'."
            )
        parts = self._elementary()
        for part in parts:
            if isinstance(part, Separable) and part.role == "quadratic":
                w = part.prox(w, step)
                step = step / (1.0 + part.per_element(w) * step)
        for role in _ORDER:
            for part in parts:
                if getattr(part, "role", "") == role:
                    w = part.prox(w, step)
        return w


def parts_of(penalty: Penalty) -> tuple[Penalty, ...]:
    """The parts of a sum; the penalty itself otherwise."""
    return penalty.parts if isinstance(penalty, Sum) else (penalty,)


def sum_of(parts: Sequence[Penalty]) -> Penalty:
    """The sum of one part or more; of one, that part."""
    return parts[0] if len(parts) == 1 else Sum(parts)
