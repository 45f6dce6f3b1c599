"""A residual block as a container, for models of a person's own that are to train in native lanes."""

from torch import Tensor, nn


class Residual(nn.Module):
    """y = s(x) + f(x), f the layers one after another, s the shortcut.

    Args:
        layers: of f.
        shortcut: s, where f changes the shape; else y = x + f(x).

    Example:
        >>> import torch
        >>> from ridgeline.models import Residual
        >>> block = Residual(torch.nn.Linear(3, 3), torch.nn.ReLU())
        >>> _ = torch.nn.init.eye_(block.body[0].weight), torch.nn.init.zeros_(block.body[0].bias)
        >>> block(torch.tensor([[1.0, -2.0, 0.0]])).tolist()
        [[2.0, -2.0, 0.0]]
    """

    def __init__(self, *layers: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.shortcut(x) + self.body(x)
        return found
