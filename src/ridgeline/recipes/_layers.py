"""Models of the recipes, with the starts that their sources give."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def line(n_inputs: int = 200, spread: float = 1.0, bias_spread: float = 0.0, start: int = 0) -> nn.Module:
    """y = Xw + b with w ~ N(0, spread), b ~ N(0, bias_spread).

    Args:
        start: which draw of w to take, from 0: arms of one seed can start differently.
    """
    layer = nn.Linear(n_inputs, 1)
    for _ in range(start + 1):
        nn.init.normal_(layer.weight, 0.0, spread)
    nn.init.normal_(layer.bias, 0.0, bias_spread)
    return nn.Sequential(layer)


def one_conv(dropout: float = 0.0, narrow: int = 1, divide_by: float = 1.0) -> nn.Module:
    """Convolution 5×5 to 32, ReLU, max-pool; linear to 1024, ReLU, dropout, linear to 10. For images 28×28.

    Weights are normal with deviation 0.1 truncated at 0.2, biases 0.1.

    Args:
        narrow: divides every hidden width, for a quick look.
        divide_by: divides the pixels once more.
    """
    return _convolutional((32,), dropout, narrow, divide_by)


def two_conv(dropout: float = 0.0, narrow: int = 1, divide_by: float = 1.0) -> nn.Module:
    """`one_conv` with a second convolution 5×5, 32 to 64, ReLU, max-pool before the linear layers."""
    return _convolutional((32, 64), dropout, narrow, divide_by)


def _convolutional(widths: tuple[int, ...], dropout: float, narrow: int, divide_by: float) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if divide_by != 1.0:
        layers["divide"] = Divide(divide_by)
    depth, side = 1, 28
    for number, width in enumerate((width // narrow for width in widths), start=1):
        layers[f"conv{number}"] = nn.Conv2d(depth, width, 5, padding=2)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        depth, side = width, side // 2
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(depth * side * side, 1024 // narrow)
    layers["relu"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(dropout)
    layers["output"] = nn.Linear(1024 // narrow, 10)
    model = nn.Sequential(layers)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, 0.1)
        else:
            nn.init.trunc_normal_(parameter, 0.0, 0.1, -0.2, 0.2)
    # pooling takes a third of the time so; torch's stubs know this argument beside others only
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class Divide(nn.Module):
    """y = x / by."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        return x / self.by


def wide(narrow: int = 1) -> nn.Module:
    """784-1500-1000-500-10 with ReLU, for images 28×28; all weights and biases uniform in (0, 1).

    Args:
        narrow: divides every hidden width, for a quick look.
    """
    widths = (784, *(width // narrow for width in (1500, 1000, 500)), 10)
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        if number > 1:
            layers[f"relu{number - 1}"] = nn.ReLU()
        layer = nn.Linear(fan_in, fan_out)
        nn.init.uniform_(layer.weight)
        nn.init.uniform_(layer.bias)
        layers[f"layer{number}"] = layer
    return nn.Sequential(layers)


def normalized() -> nn.Module:
    """Twice convolution 3×3 of stride 2, BatchNorm, ReLU (1 to 16 to 32), then linear to 10. For images 28×28.

    20,586 parameters; weights and biases start as torch draws them.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (depth, width) in enumerate(((1, 16), (16, 32)), start=1):
        layers[f"conv{number}"] = nn.Conv2d(depth, width, 3, stride=2, padding=1)
        layers[f"norm{number}"] = nn.BatchNorm2d(width)
        layers[f"relu{number}"] = nn.ReLU()
    layers["flatten"] = nn.Flatten()
    layers["linear"] = nn.Linear(32 * 7 * 7, 10)
    return nn.Sequential(layers)


def dropout_mlp(rates: Sequence[float] = (0.2, 0.5), bias_spread: float = 0.0) -> nn.Module:
    """784-256-256-10 with ReLU, then dropout, after each hidden layer; weights N(0, 0.01). For images 28×28.

    Args:
        rates: of the two dropout layers; 0 is the identity.
        bias_spread: the biases' standard deviation.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (fan_in, fan_out) in enumerate(pairwise((784, 256, 256, 10)), start=1):
        layer = nn.Linear(fan_in, fan_out)
        nn.init.normal_(layer.weight, 0.0, 0.01)
        nn.init.normal_(layer.bias, 0.0, bias_spread)
        layers[f"layer{number}"] = layer
        if number <= len(rates):
            layers[f"relu{number}"] = nn.ReLU()
            layers[f"dropout{number}"] = nn.Dropout(rates[number - 1])
    return nn.Sequential(layers)
