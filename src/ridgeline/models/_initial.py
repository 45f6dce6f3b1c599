"""Initial weights as pure functions of (seed, parameter name)."""

import math

import torch
from torch import nn

from ridgeline.noise import stream_key, uniform


def draw_initial(model: nn.Module, seed: int) -> None:
    """Draw the weights of linear and convolution layers anew, in place: U(−b, b), b = 1/√fan_in.

    This is the law of torch's own default for these layers, weights and biases alike, but each tensor
    is a function of the seed and its name alone.

    Raises:
        TypeError: for a parameter of another kind of layer.
    """
    with torch.no_grad():
        for prefix, module in model.named_modules():
            own = dict(module.named_parameters(recurse=False))
            if not own:
                continue
            if not isinstance(module, (nn.Linear, nn.Conv2d)):
                raise TypeError(f"{prefix}: no initial law for {type(module).__name__}.")
            bound = 1.0 / math.sqrt(module.weight[0].numel())
            for leaf, parameter in own.items():
                draws = uniform(stream_key(seed, f"weights/{prefix}.{leaf}"), parameter.numel())
                parameter.copy_(draws.mul_(2.0).sub_(1.0).mul_(bound).view(parameter.shape))
