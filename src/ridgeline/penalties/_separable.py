"""Penalties that are a sum over single weights: L1, L2, ElasticNet."""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self, TypeAlias

from torch import Tensor

from ridgeline.penalties._protocol import Addable, Penalty, Role
from ridgeline.penalties._prox import soft_threshold
from ridgeline.penalties._strength import Strength, check_strength, lanes_of, over, wide

Reduction: TypeAlias = Literal["sum", "mean"]


@dataclass(frozen=True, slots=True)
class Separable(Addable):
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

    def per_element(self, w: Tensor) -> float | Tensor:
        """λ, or λ/n with reduction="mean" over the n weights of the tensor (of one lane)."""
        strength = over(self.strength, w)
        if self.reduction == "sum":
            return strength
        lanes = w.shape[0] if lanes_of(self.strength) else 1
        return strength / max(w.numel() // lanes, 1)

    def _reduced(self, terms: Tensor) -> Tensor:
        """λ Σ terms: shape (), or (lanes,) when the strength has lanes."""
        weighted = terms * self.per_element(terms)
        return weighted.reshape(len(weighted), -1).sum(1) if lanes_of(self.strength) else weighted.sum()


@dataclass(frozen=True, slots=True)
class L1(Separable):
    """The L1 penalty (lasso).

    R(w) = λ Σ|wᵢ|; with reduction="mean", λ/n Σ|wᵢ|.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,), where axis 0 of
            w is lanes and the value has shape (lanes,).
        reduction: "sum" or "mean" over the n weights of each tensor.

    Raises:
        ValueError: for a NaN, negative or infinite strength.

    Source: Tibshirani 1996. Differs from scikit-learn's Lasso in nothing but the ½ of its data loss.

    Example:
        >>> import torch
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

    role: ClassVar[Role] = "absolute"

    def value(self, w: Tensor) -> Tensor:
        """λ Σ|w|, shape () or (lanes,), at least float32, differentiable."""
        return self._reduced(wide(w).abs())

    def gradient(self, w: Tensor) -> Tensor:
        """λ sign(w), like w; 0 at w = 0, which is in the subdifferential."""
        return (w.sign() * self.per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + (u − w)²/(2·step): the soft threshold, like w; exact zeros.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        return soft_threshold(w, self.per_element(w) * step).to(w.dtype)


@dataclass(frozen=True, slots=True)
class L2(Separable):
    """The L2 penalty (ridge, weight decay).

    R(w) = ½ λ Σwᵢ²; with reduction="mean", ½ λ/n Σwᵢ².

    λ means what torch's `weight_decay` and TF1's `l2_regularizer` mean; it is twice Keras' L2 factor.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,), where axis 0 of
            w is lanes and the value has shape (lanes,).
        reduction: "sum" or "mean" over the n weights of each tensor.

    Raises:
        ValueError: for a NaN, negative or infinite strength.

    Source: Hoerl and Kennard 1970.

    Example:
        >>> import torch
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

    role: ClassVar[Role] = "quadratic"

    def value(self, w: Tensor) -> Tensor:
        """½ λ Σw², shape () or (lanes,), at least float32, differentiable."""
        return self._reduced(0.5 * wide(w).square())

    def gradient(self, w: Tensor) -> Tensor:
        """λ w, like w."""
        return (w * self.per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + (u − w)²/(2·step) = w / (1 + step·λ), like w.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        return (w / (1.0 + self.per_element(w) * step)).to(w.dtype)


@dataclass(frozen=True, slots=True)
class ElasticNet(Separable):
    """The elastic net: L1 and L2 in one, mixed by ρ.

    R(w) = λ (ρ Σ|wᵢ| + ½(1−ρ) Σwᵢ²); with reduction="mean", λ/n in place of λ.

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).
        l1_ratio: ρ in [0, 1]; 1 is L1, 0 is L2.
        reduction: "sum" or "mean" over the n weights of each tensor.

    Raises:
        ValueError: for a NaN, negative or infinite strength, or a ratio outside [0, 1].

    Source: Zou and Hastie 2005, in scikit-learn's parametrization (alpha = λ for its data loss ½·MSE).

    Example:
        >>> import torch
        >>> w = torch.tensor([[5.0, -2.0], [-3.0, 1.0]])
        >>> ElasticNet(1.0, l1_ratio=0.5).value(w)
        tensor(15.2500)
    """

    l1_ratio: float = 0.5

    def __init__(self, strength: Strength, l1_ratio: float, reduction: Reduction = "sum") -> None:
        if not 0.0 <= l1_ratio <= 1.0:
            raise ValueError(f"ElasticNet: l1_ratio is {l1_ratio}; allowed: a number in [0, 1].")
        object.__setattr__(self, "strength", strength)
        object.__setattr__(self, "reduction", reduction)
        object.__setattr__(self, "l1_ratio", l1_ratio)
        self.__post_init__()

    def split(self) -> list[Penalty]:
        """L1 and L2 that add up to this penalty."""
        strength = self.strength
        if not isinstance(strength, (float, Tensor)):
            raise ValueError(f"the strength is a schedule, {strength}; use it through regularize().")
        ratio = self.l1_ratio
        return [L1(strength * ratio, self.reduction), L2(strength * (1 - ratio), self.reduction)]

    def value(self, w: Tensor) -> Tensor:
        """λ (ρ Σ|w| + ½(1−ρ) Σw²), shape () or (lanes,), at least float32, differentiable."""
        x = wide(w)
        return self._reduced(self.l1_ratio * x.abs() + (0.5 * (1 - self.l1_ratio)) * x.square())

    def gradient(self, w: Tensor) -> Tensor:
        """λ (ρ sign(w) + (1−ρ) w), like w."""
        slope = self.l1_ratio * w.sign() + (1 - self.l1_ratio) * w
        return (slope * self.per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """argmin_u R(u) + (u − w)²/(2·step): soft threshold, then shrinkage; like w.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        scaled = self.per_element(w) * step
        shrunk = soft_threshold(w, scaled * self.l1_ratio) / (1.0 + scaled * (1 - self.l1_ratio))
        return shrunk.to(w.dtype)
