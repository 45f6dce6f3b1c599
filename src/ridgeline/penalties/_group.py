"""Penalties on norms: GroupLasso of slices, Norm of a whole tensor."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ridgeline.penalties._protocol import Addable, Role
from ridgeline.penalties._prox import shrink_groups, shrink_groups_weighted, soft_threshold
from ridgeline.penalties._strength import Strength, check_strength, lanes_of, over, wide


def group_dims(w: Tensor, dim: int | None, lanes: bool) -> tuple[int, ...]:
    """The dimensions that a group spans: all but `dim` (counted without the lanes axis) and lanes.

    Raises:
        ValueError: when the tensor has no such dimension.
    """
    own = w.ndim - lanes
    if dim is None:
        return tuple(range(int(lanes), w.ndim))
    if own == 0:
        raise ValueError(f"dim={dim} does not exist in a parameter of one number; exempt it by a Rule.")
    if not -own <= dim < own:
        raise ValueError(
            f"dim={dim} does not exist in a parameter of {own} dimensions; allowed: {-own}…{own - 1}."
        )
    kept = dim % own + lanes
    return tuple(d for d in range(int(lanes), w.ndim) if d != kept)


def _sum_own(groups: Tensor, lanes: bool) -> Tensor:
    return groups.flatten(1).sum(1) if lanes else groups.sum()


@dataclass(frozen=True, slots=True)
class GroupLasso(Addable):
    """The group lasso: whole slices (neurons, filters) are driven to zero together.

    R(w) = λ Σ_g √|g| ‖w_g‖₂, groups = the slices of w along `dim`.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).
        dim: the dimension whose indices are the groups, counted without the lanes axis; 0 groups the
            weights that feed one output of a linear layer or convolution.

    Raises:
        ValueError: for a NaN, negative or infinite strength; for a `dim` that the tensor lacks.

    Source: Yuan and Lin 2006.

    Example:
        >>> import torch
        >>> w = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
        >>> GroupLasso(1.0).value(w)
        tensor(7.7782)
        >>> GroupLasso(1.0).prox(w, step=0.5)
        tensor([[2.5757, 3.4343],
                [0.0000, 0.0000]])
    """

    strength: Strength
    dim: int = 0

    has_prox: ClassVar[bool] = True
    role: ClassVar[Role] = "group"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength, "GroupLasso"))

    def with_strength(self, strength: Strength) -> Self:
        """The same penalty with another strength."""
        return replace(self, strength=strength)

    def norms(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Each group's norm and its strength λ√|g|, with reduced dimensions kept."""
        dims = group_dims(w, self.dim, lanes_of(self.strength))
        size = math.prod([w.shape[d] for d in dims])
        norm = torch.linalg.vector_norm(w, dim=dims, keepdim=True) if dims else w.abs()
        return norm, torch.as_tensor(over(self.strength, w), dtype=norm.dtype, device=w.device) * math.sqrt(
            size
        )

    def value(self, w: Tensor) -> Tensor:
        """λ Σ √|g| ‖w_g‖₂, shape () or (lanes,), at least float32, differentiable."""
        norm, weight = self.norms(wide(w))
        return _sum_own(norm * weight, lanes_of(self.strength))

    def gradient(self, w: Tensor) -> Tensor:
        """λ √|g| w/‖w_g‖₂, like w; 0 in a group of zeros."""
        norm, weight = self.norms(wide(w))
        return (w * (weight / torch.where(norm > 0, norm, torch.ones_like(norm)))).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + ½ Σ (u − w)²/step, like w; a tensor step is solved by Newton's method.

        Args:
            step: ≥ 0, a number, a tensor of one number, or a tensor like w.
        """
        x = wide(w)
        dims = group_dims(w, self.dim, lanes_of(self.strength))
        _, weight = self.norms(x)
        if not dims:
            return soft_threshold(x, weight * step).to(w.dtype)
        if isinstance(step, Tensor) and step.ndim:
            each = step.expand_as(x)
            kappa = weight.expand([1 if d in dims else n for d, n in enumerate(x.shape)])
            return shrink_groups_weighted(x, kappa.to(x.dtype), each.to(x.dtype), dims).to(w.dtype)
        return shrink_groups(x, weight * step, dims).to(w.dtype)


@dataclass(frozen=True, slots=True)
class Norm(Addable):
    """The norm of a whole tensor, not squared.

    R(w) = λ ‖w‖_p, p ≥ 1.

    Its gradient has the same length wherever w is not zero: under Adam a larger strength soon changes
    nothing more. For ordinary weight decay use L2.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).
        p: ≥ 1. p = 0 is refused: it counts the weights that are not zero, and its gradient is 0
            everywhere, so it would train nothing.

    Raises:
        ValueError: for p < 1, and for a NaN, negative or infinite strength.

    Example:
        >>> import torch
        >>> w = torch.tensor([3.0, 4.0])
        >>> Norm(2.0).value(w), Norm(2.0).gradient(w)
        (tensor(10.), tensor([1.2000, 1.6000]))
    """

    strength: Strength
    p: float = 2.0

    role: ClassVar[Role] = "group"

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength, "Norm"))
        if self.p == 0:
            raise ValueError(
                "Norm: p = 0 counts the weights that are not zero; its gradient is 0 everywhere, so it would "
                "change nothing. Use L1 for sparse weights, L2 for small ones."
            )
        if not self.p >= 1 or math.isinf(self.p):
            raise ValueError(f"Norm: p is {self.p}; allowed: a finite number ≥ 1, for a convex norm.")

    @property
    def has_prox(self) -> bool:
        """p = 1 and p = 2 have one in closed form."""
        return self.p in (1.0, 2.0)

    def with_strength(self, strength: Strength) -> Self:
        """The same penalty with another strength."""
        return replace(self, strength=strength)

    def norm(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """‖w‖_p with reduced dimensions kept, and λ shaped to it."""
        dims = group_dims(w, None, lanes_of(self.strength))
        x = wide(w)
        if not dims:  # dim=() would mean all dimensions, where a lane holds a single number
            norm = x.abs()
        elif self.p in (1, 2) or not x.numel():
            norm = torch.linalg.vector_norm(x, self.p, dim=dims, keepdim=True)
        else:  # high powers of small numbers are 0
            top = x.detach().abs().amax(dims, keepdim=True)
            top = torch.where(top > 0, top, torch.ones_like(top))
            norm = top * torch.linalg.vector_norm(x / top, self.p, dim=dims, keepdim=True)
        return norm, torch.as_tensor(over(self.strength, w), dtype=norm.dtype, device=w.device)

    def value(self, w: Tensor) -> Tensor:
        """λ ‖w‖_p, shape () or (lanes,), at least float32, differentiable."""
        norm, strength = self.norm(w)
        return (norm * strength).reshape(-1) if lanes_of(self.strength) else (norm * strength).reshape(())

    def gradient(self, w: Tensor) -> Tensor:
        """λ sign(w) |w|^(p−1)/‖w‖_p^(p−1), like w; 0 at w = 0."""
        x = wide(w)
        norm, strength = self.norm(w)
        unit = x / torch.where(norm > 0, norm, torch.ones_like(norm))
        power = unit if self.p == 2 else unit.sign() * unit.abs().pow(self.p - 1) * (unit != 0)
        return (power * strength).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + ½ Σ (u − w)²/step, like w, for p = 1 and p = 2.

        Raises:
            TypeError: for another p, which has no closed form.
        """
        x = wide(w)
        strength = torch.as_tensor(over(self.strength, w), dtype=x.dtype, device=w.device)
        if self.p == 1:
            return soft_threshold(x, strength * step).to(w.dtype)
        if self.p != 2:
            raise TypeError(
                f"Norm with p = {self.p} has no proximal operator in closed form; use p = 1 or 2."
            )
        dims = group_dims(w, None, lanes_of(self.strength))
        if not dims:
            return soft_threshold(x, strength * step).to(w.dtype)
        if isinstance(step, Tensor) and step.ndim:
            kappa = strength.expand([1 if d in dims else n for d, n in enumerate(x.shape)])
            return shrink_groups_weighted(x, kappa.to(x.dtype), step.expand_as(x).to(x.dtype), dims).to(
                w.dtype
            )
        return shrink_groups(x, strength * step, dims).to(w.dtype)
