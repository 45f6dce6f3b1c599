"""Penalties on the singular values of a weight matrix: Nuclear and Orthogonal."""

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import torch
from torch import Tensor

from ridgeline.penalties._protocol import Addable
from ridgeline.penalties._prox import soft_threshold_spectrum
from ridgeline.penalties._strength import Strength, check_strength, lanes_of, scalar, wide


def _matrix(w: Tensor, lanes: bool, owner: str) -> Tensor:
    """w as matrices out × rest, with the lanes axis in front where there is one, at least float32."""
    if w.ndim - lanes < 2:
        raise ValueError(
            f"{owner} needs a parameter of at least 2 dimensions, this one has {w.ndim - lanes}; choose others "
            f"by a Rule."
        )
    return wide(w).flatten(2) if lanes else wide(w).flatten(1)


@dataclass(frozen=True, slots=True)
class Nuclear(Addable):
    """The nuclear norm, which drives a weight matrix to low rank.

    R(w) = λ Σ singular values of the matrix (a convolution's: out × rest).

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).

    Raises:
        ValueError: for a NaN, negative or infinite strength; for a tensor of fewer than 2 dimensions.

    Source: Fazel 2002; the prox is singular value thresholding, Cai, Candès and Shen 2010.

    Example:
        >>> import torch
        >>> Nuclear(1.0).value(torch.diag(torch.tensor([3.0, 4.0])))
        tensor(7.)
    """

    strength: Strength

    has_prox: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength, "Nuclear"))

    def with_strength(self, strength: Strength) -> Self:
        """The same penalty with another strength."""
        return replace(self, strength=strength)

    def value(self, w: Tensor) -> Tensor:
        """λ Σσ, shape () or (lanes,), at least float32, differentiable where no singular value is 0."""
        matrix = _matrix(w, lanes_of(self.strength), "Nuclear")
        values: Tensor = torch.linalg.svdvals(matrix)
        return values.sum(-1) * scalar(self.strength, w)

    def gradient(self, w: Tensor) -> Tensor:
        """λ U Vᵀ over the singular values above rounding, like w; 0 for the zero matrix."""
        lanes = lanes_of(self.strength)
        u, s, vh = torch.linalg.svd(_matrix(w, lanes, "Nuclear"), full_matrices=False)
        if s.numel() == 0:  # an empty matrix has no largest singular value
            return torch.zeros_like(w)
        floor = s.amax(-1, keepdim=True) * max(u.shape[-2], vh.shape[-1]) * torch.finfo(s.dtype).eps
        kept = ((s > floor) & (s > 0)).to(s.dtype)
        strength = scalar(self.strength, w)
        factor = strength[:, None, None] if isinstance(strength, Tensor) and lanes else strength
        found: Tensor = ((u * kept[..., None, :]) @ vh) * factor
        return found.view(w.shape).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """The singular values soft-thresholded by step·λ, like w.

        Raises:
            TypeError: for a step an element, which has no closed form.
        """
        if isinstance(step, Tensor) and step.ndim:
            raise TypeError(
                "Nuclear has no proximal operator in closed form for one step an element (Adam's metric); use "
                "metric='euclidean', or SGD."
            )
        lanes = lanes_of(self.strength)
        matrix = _matrix(w, lanes, "Nuclear")
        threshold = torch.as_tensor(scalar(self.strength, w), dtype=matrix.dtype, device=w.device) * step
        return soft_threshold_spectrum(matrix, threshold).view(w.shape).to(w.dtype)


@dataclass(frozen=True, slots=True)
class Orthogonal(Addable):
    """Soft orthogonality: rows (or columns, whichever are fewer) of unit length, at right angles.

    R(w) = ½ λ ‖WWᵀ − I‖²_F on the smaller side of the matrix (a convolution's: out × rest).

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).

    Raises:
        ValueError: for a NaN, negative or infinite strength; for a tensor of fewer than 2 dimensions.

    Source: Brock et al. 2017. Differs from Keras' OrthogonalRegularizer, which averages |cos| over pairs.

    Example:
        >>> import torch
        >>> Orthogonal(1.0).value(torch.eye(3)), Orthogonal(1.0).value(2 * torch.eye(3))
        (tensor(0.), tensor(13.5000))
    """

    strength: Strength

    has_prox: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "strength", check_strength(self.strength, "Orthogonal"))

    def with_strength(self, strength: Strength) -> Self:
        """The same penalty with another strength."""
        return replace(self, strength=strength)

    def _gram_error(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """The matrix with its smaller side first, and its Gram matrix minus I."""
        matrix = _matrix(w, lanes_of(self.strength), "Orthogonal")
        tall = matrix.shape[-2] > matrix.shape[-1]
        matrix = matrix.mT if tall else matrix
        gram = matrix @ matrix.mT
        return matrix, gram - torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)

    def value(self, w: Tensor) -> Tensor:
        """½ λ ‖WWᵀ − I‖²_F, shape () or (lanes,), at least float32, differentiable."""
        _, error = self._gram_error(w)
        return 0.5 * error.square().sum((-2, -1)) * scalar(self.strength, w)

    def gradient(self, w: Tensor) -> Tensor:
        """2 λ (WWᵀ − I) W, like w."""
        lanes = lanes_of(self.strength)
        matrix, error = self._gram_error(w)
        flat = _matrix(w, lanes, "Orthogonal")
        found = 2.0 * error @ matrix
        found = found.mT if flat.shape[-2] > flat.shape[-1] else found
        strength = scalar(self.strength, w)
        factor = strength[:, None, None] if isinstance(strength, Tensor) and lanes else strength
        return (found * factor).reshape(w.shape).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """Raises TypeError: Orthogonal is not convex and has no proximal operator in closed form."""
        raise TypeError("Orthogonal has no proximal operator; use mode 'loss' or 'coupled'.")
