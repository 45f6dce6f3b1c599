"""A constraint in place of a penalty: MaxNorm."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ridgeline.penalties._group import group_dims
from ridgeline.penalties._protocol import Addable, Role
from ridgeline.penalties._prox import project_ball
from ridgeline.penalties._strength import Strength, check_strength, lanes_of, over, wide


@dataclass(frozen=True, slots=True)
class MaxNorm(Addable):
    """A constraint: the norm of each slice along `dim` is at most `limit`.

    R(w) = 0 inside; after the step each slice outside is projected back, w_g ← w_g · limit/‖w_g‖₂.
    It needs an optimizer, and acts after every other proximal operator.

    Args:
        limit: > 0 allowed, ≥ 0 legal; one value a lane with shape (lanes,) too.
        dim: the dimension whose indices are the slices, counted without the lanes axis.

    Source: Srebro and Shraibman 2005; as a regularizer of networks, Hinton et al. 2012.

    Example:
        >>> import torch
        >>> MaxNorm(1.0).prox(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), step=1.0)
        tensor([[0.6000, 0.8000],
                [0.3000, 0.4000]])
    """

    limit: Strength
    dim: int = 0

    has_prox: ClassVar[bool] = True
    role: ClassVar[Role] = "constraint"

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", check_strength(self.limit, "MaxNorm", "limit"))

    @property
    def strength(self) -> Strength:
        """The limit: what a constraint has in place of a coefficient."""
        return self.limit

    def with_strength(self, strength: Strength) -> Self:
        """The same constraint with another limit."""
        return replace(self, limit=strength)

    def value(self, w: Tensor) -> Tensor:
        """0, shape () or (lanes,): the constraint is kept by projection, not by a term."""
        lanes = lanes_of(self.limit)
        return (wide(w) * 0.0).flatten(1).sum(1) if lanes else (wide(w) * 0.0).sum()

    def gradient(self, w: Tensor) -> Tensor:
        """0, like w."""
        return torch.zeros_like(w)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """The projection, like w, whatever the step."""
        x = wide(w)
        dims = group_dims(w, self.dim, lanes_of(self.limit))
        limit = torch.as_tensor(over(self.limit, w), dtype=x.dtype, device=w.device)
        if not dims:
            return x.clamp(-limit, limit).to(w.dtype)
        return project_ball(x, limit, dims).to(w.dtype)
