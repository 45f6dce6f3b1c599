"""Penalties that are a sum over single weights: L1 and L2."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, TypeAlias

import torch
from torch import Tensor

from ridgeline.penalties._strength import Strength, check_strength, lanes_of, over

Reduction: TypeAlias = Literal["sum", "mean"]


def _wide(w: Tensor) -> Tensor:
    """At least float32: sums of half-precision squares overflow."""
    return w.float() if w.dtype in (torch.float16, torch.bfloat16) else w


@dataclass(frozen=True, slots=True)
class _Separable:
    """What the penalties Σ φ(wᵢ) share: a strength, a reduction, lanes."""

    strength: Strength
    reduction: Reduction = "sum"

    has_prox: ClassVar[bool] = True

    def __post_init__(self) -> None:
        owner = type(self).__name__
        object.__setattr__(self, "strength", check_strength(self.strength, owner))
        if self.reduction not in ("sum", "mean"):
            raise ValueError(f"{owner}: reduction is {self.reduction!r}; allowed: 'sum', 'mean'.")

    def with_strength(self, strength: Strength) -> Self:
        """The same penalty with another strength."""
        return replace(self, strength=strength)

    def _per_element(self, w: Tensor) -> Strength:
        """λ, or λ/n with reduction="mean" over the n weights of the tensor (of one lane)."""
        strength = over(self.strength, w)
        if self.reduction == "sum":
            return strength
        lanes = w.shape[0] if lanes_of(self.strength) else 1
        return strength / max(w.numel() // lanes, 1)

    def _reduced(self, terms: Tensor) -> Tensor:
        """λ Σ terms: shape (), or (lanes,) when the strength has lanes."""
        weighted = terms * self._per_element(terms)
        return weighted.reshape(len(weighted), -1).sum(1) if lanes_of(self.strength) else weighted.sum()


@dataclass(frozen=True, slots=True)
class L1(_Separable):
    """The L1 penalty (lasso).

    R(w) = λ Σ|wᵢ|; with reduction="mean", λ/n Σ|wᵢ|.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, or one value a lane with shape (lanes,), where axis 0 of
            w is lanes and the value has shape (lanes,).
        reduction: "sum" or "mean" over the n weights of each tensor.

    Raises:
        ValueError: for a NaN, negative or infinite strength.

    Source: Tibshirani 1996. Differs from scikit-learn's Lasso in nothing but the ½ of its data loss.

    Example:
        >>> w = torch.tensor([[5.0, -2.0], [-3.0, 1.0]])
        >>> L1(0.5).value(w)
        tensor(5.5000)
        >>> L1(0.5).gradient(w)
        tensor([[ 0.5000, -0.5000],
                [-0.5000,  0.5000]])
        >>> L1(0.5).prox(w, step=4.0)
        tensor([[ 3.,  0.],
                [-1.,  0.]])
    """

    def value(self, w: Tensor) -> Tensor:
        """λ Σ|w|, shape () or (lanes,), at least float32, differentiable."""
        return self._reduced(_wide(w).abs())

    def gradient(self, w: Tensor) -> Tensor:
        """λ sign(w), like w; 0 at w = 0, which is in the subdifferential."""
        return (w.sign() * self._per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + (u − w)²/(2·step): the soft threshold, like w; exact zeros.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        threshold = torch.as_tensor(self._per_element(w) * step, device=w.device)
        return (w - w.clamp(-threshold, threshold)).to(w.dtype)


@dataclass(frozen=True, slots=True)
class L2(_Separable):
    """The L2 penalty (ridge, weight decay).

    R(w) = ½ λ Σwᵢ²; with reduction="mean", ½ λ/n Σwᵢ².

    λ means what torch's `weight_decay` and TF1's `l2_regularizer` mean; it is twice Keras' L2 factor.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, or one value a lane with shape (lanes,), where axis 0 of
            w is lanes and the value has shape (lanes,).
        reduction: "sum" or "mean" over the n weights of each tensor.

    Raises:
        ValueError: for a NaN, negative or infinite strength.

    Source: Hoerl and Kennard 1970.

    Example:
        >>> w = torch.tensor([[5.0, -2.0], [-3.0, 1.0]])
        >>> L2(0.5).value(w)
        tensor(9.7500)
        >>> L2(0.5).gradient(w)
        tensor([[ 2.5000, -1.0000],
                [-1.5000,  0.5000]])
        >>> L2(0.5).prox(w, step=2.0)
        tensor([[ 2.5000, -1.0000],
                [-1.5000,  0.5000]])
    """

    def value(self, w: Tensor) -> Tensor:
        """½ λ Σw², shape () or (lanes,), at least float32, differentiable."""
        return self._reduced(0.5 * _wide(w).square())

    def gradient(self, w: Tensor) -> Tensor:
        """λ w, like w."""
        return (w * self._per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + (u − w)²/(2·step) = w / (1 + step·λ), like w.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        return (w / (1.0 + self._per_element(w) * step)).to(w.dtype)
