"""The small models that a study can name: mlp, cnn, linear."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated

from annotated_types import Ge, Le, MinLen
from torch import nn

Size = Annotated[int, Ge(1)]
Rate = Annotated[float, Ge(0), Le(1)]


def mlp(
    input_shape: tuple[int, ...],
    n_outputs: int,
    hidden: Annotated[list[Size], MinLen(1)] | None = None,
    dropout: Rate = 0.0,
) -> nn.Module:
    """A multi-layer perceptron: flatten, then (linear, ReLU, dropout) for each hidden width, linear.

    Args:
        hidden: the hidden widths; [256] by default.
        dropout: the rate after each hidden layer.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    width = math.prod(input_shape)
    for number, size in enumerate([256] if hidden is None else hidden, start=1):
        layers[f"hidden{number}"] = nn.Linear(width, size)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"dropout{number}"] = nn.Dropout(dropout)
        width = size
    layers["output"] = nn.Linear(width, n_outputs)
    return nn.Sequential(layers)


def cnn(
    input_shape: tuple[int, ...],
    n_outputs: int,
    channels: Annotated[list[Size], MinLen(1)] | None = None,
    hidden: Size = 64,
    dropout: Rate = 0.0,
) -> nn.Module:
    """A small convolutional network: (conv 3×3, ReLU, max-pool 2×2) for each width, linear, ReLU, linear.

    Args:
        channels: the convolutions' widths; [16, 32] by default.
        hidden: the width of the linear layer before the last.
        dropout: the rate before the last layer.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"model cnn needs images of shape (channels, height, width), the data give {input_shape}; "
            f"use model: {{name: mlp}}."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    depth, height, width = input_shape
    for number, size in enumerate([16, 32] if channels is None else channels, start=1):
        layers[f"conv{number}"] = nn.Conv2d(depth, size, 3, padding=1)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        depth, height, width = size, height // 2, width // 2
        if not height * width:
            raise ValueError(
                f"model cnn: after {number} poolings nothing is left of a {input_shape} image; name fewer channels."
            )
    layers["flatten"] = nn.Flatten()
    layers["hidden"] = nn.Linear(depth * height * width, hidden)
    layers["relu"] = nn.ReLU()
    layers["dropout"] = nn.Dropout(dropout)
    layers["output"] = nn.Linear(hidden, n_outputs)
    return nn.Sequential(layers)


def linear(input_shape: tuple[int, ...], n_outputs: int) -> nn.Module:
    """A linear model: flatten, linear."""
    return nn.Sequential(
        OrderedDict(flatten=nn.Flatten(), output=nn.Linear(math.prod(input_shape), n_outputs))
    )


NETWORKS: dict[str, Callable[..., nn.Module]] = {"mlp": mlp, "cnn": cnn, "linear": linear}
