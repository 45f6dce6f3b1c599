"""Samples, networks and shorthands for the tests of the scale-invariance probe."""

import warnings
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from ridgeline import L2, Rule
from ridgeline.regularizer._invariance import scale_invariant
from ridgeline.select import assign

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(2))


def probe(model: nn.Module, sample: Any = X) -> dict[str, bool | None]:
    """The verdicts on all rows of the model."""
    return scale_invariant(model, assign(model, [Rule("*", L2(1e-4))]), sample)


def flagged(model: nn.Module, sample: Any = X) -> set[str]:
    """The names of the scale-invariant rows."""
    found = probe(model, sample)
    assert None not in found.values()
    return {name for name, yes in found.items() if yes}


def first(layer: nn.Module, *then: nn.Module) -> Any:
    """A network whose other weights cannot be scale-invariant."""
    return nn.Sequential(layer, *then, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))


class RMS(nn.Module):
    """A person's own RMSNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


class Own(nn.Module):
    """A network whose forward pass is a function of the module and the input."""

    head: Any

    def __init__(self, forward: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def old(function: str, layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return cast(nn.Module, getattr(nn.utils, function)(layer))


def ready(model: Any, sample: Any) -> Any:
    """The model with its lazy layers made, in training mode."""
    with torch.no_grad():
        model.eval()(sample)
    return model.train()
