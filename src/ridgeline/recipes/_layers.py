"""Models of the recipes, with the starts that their sources give."""

from torch import nn


def line(n_inputs: int = 200, spread: float = 1.0, bias_spread: float = 0.0) -> nn.Module:
    """y = Xw + b with w ~ N(0, spread), b ~ N(0, bias_spread)."""
    layer = nn.Linear(n_inputs, 1)
    nn.init.normal_(layer.weight, 0.0, spread)
    nn.init.normal_(layer.bias, 0.0, bias_spread)
    return nn.Sequential(layer)
