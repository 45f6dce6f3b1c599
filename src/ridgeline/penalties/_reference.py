"""L2 towards reference weights: L2SP."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor

from ridgeline.penalties._protocol import Role
from ridgeline.penalties._separable import Reduction, Separable
from ridgeline.penalties._strength import Strength, wide


@dataclass(frozen=True, slots=True)
class L2SP(Separable):
    """L2 towards a starting point: for fine-tuning, where 0 is not what weights should return to.

    R(w) = ½ λ Σ(wᵢ − w₀ᵢ)².

    Args:
        strength: λ ≥ 0, a float, a 0-d tensor, a schedule, or one value a lane with shape (lanes,).
        reference: w₀: None takes the weights when the penalty is attached by `regularize`; a mapping
            (a pretrained state_dict) is read by parameter name; a tensor serves one parameter.

    Raises:
        ValueError: for a NaN, negative or infinite strength; for a value without a reference.

    Source: Li, Grandvalet and Davoine 2018.

    Example:
        >>> import torch
        >>> L2SP(2.0, reference=torch.tensor([1.0, 1.0])).value(torch.tensor([3.0, 1.0]))
        tensor(4.)
    """

    reference: Tensor | Mapping[str, Tensor] | None = None

    role: ClassVar[Role] = "quadratic"

    def __init__(
        self,
        strength: Strength,
        reference: Tensor | Mapping[str, Tensor] | None = None,
        reduction: Reduction = "sum",
    ) -> None:
        object.__setattr__(self, "strength", strength)
        object.__setattr__(self, "reduction", reduction)
        object.__setattr__(self, "reference", reference)
        self.__post_init__()

    def attached(self, name: str, w: Tensor) -> Self:
        """This penalty for one parameter, with the reference that belongs to it.

        Raises:
            ValueError: when the mapping lacks the name, or shapes differ.
        """
        found = self.reference
        if found is None:
            found = w
        elif isinstance(found, Mapping):
            if name not in found:
                raise ValueError(f"L2SP: the reference has no tensor called {name!r}; add it, or exempt it.")
            found = found[name]
        if not isinstance(found, Tensor):
            raise TypeError(
                f"L2SP: the reference is {found!r}; give a tensor, a mapping of parameter names to tensors, or None."
            )
        found = found.detach().to(w.device, w.dtype, copy=True)  # a state_dict shares the weights' memory
        if found.shape != w.shape:
            raise ValueError(
                f"L2SP: the reference of {name} has shape {tuple(found.shape)}, the parameter {tuple(w.shape)}; "
                f"they must be equal."
            )
        return replace(self, reference=found)

    def _offset(self, w: Tensor) -> Tensor:
        if not isinstance(self.reference, Tensor):
            raise ValueError("L2SP has no reference yet: attach it by regularize(), or give reference=.")
        return w - self.reference.to(w.device, w.dtype)

    def value(self, w: Tensor) -> Tensor:
        """½ λ Σ(w − w₀)², shape () or (lanes,), at least float32, differentiable."""
        return self._reduced(0.5 * self._offset(wide(w)).square())

    def gradient(self, w: Tensor) -> Tensor:
        """λ (w − w₀), like w."""
        return (self._offset(w) * self.per_element(w)).to(w.dtype)

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        """(w + step·λ·w₀)/(1 + step·λ), like w.

        Args:
            step: ≥ 0, a number or a tensor that broadcasts to w.
        """
        scaled = self.per_element(w) * step
        return (w - self._offset(w) * (scaled / (1.0 + scaled))).to(w.dtype)
