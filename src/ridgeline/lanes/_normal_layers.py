"""Normalization for all lanes, x [L, B, …]: each lane has statistics, running averages, weight and bias of its own."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.lanes._pass import Layer, Pass


def scaled(inner: Layer, weight: str | None, bias: str | None, dims: Callable[[Tensor], list[int]]) -> Layer:
    """A normalization without its affine part, then that part lane by lane.

    Args:
        dims: of an x [L, B, …], the shape of one lane's weight seen from an example.
    """

    def layer(here: Pass, x: Tensor) -> Tensor:
        low, shape = x.dtype is torch.bfloat16, dims(x)
        y = inner(here, x.float() if low else x)  # rounded once, after the affine part
        if weight is not None:
            y = y * here.weights[weight].view(len(x), 1, *shape)
        if bias is not None:
            y = y + here.weights[bias].view(len(x), 1, *shape)
        return y.to(x.dtype)

    return layer


def batch_norm(module: nn.modules.batchnorm._BatchNorm, names: Mapping[str, str]) -> Layer:
    """Batch normalization with the statistics of each lane's own batch, and its own running ones."""

    def layer(here: Pass, x: Tensor) -> Tensor:
        def flat(key: str) -> Tensor | None:
            return here.weights[names[key]].flatten() if key in names else None

        mean, var = flat("running_mean"), flat("running_var")
        factor = 0.0 if module.momentum is None else module.momentum
        if here.training and mean is not None:
            seen = here.weights[names["num_batches_tracked"]]
            seen.add_(1)
            if module.momentum is None:
                factor = 1.0 / float(seen[0])
        channels = x.transpose(0, 1).flatten(1, 2)  # [B, L·C, …]: a lane's channels are channels of their own
        y: Tensor = F.batch_norm(
            channels,
            mean,
            var,
            flat("weight"),
            flat("bias"),
            here.training or mean is None,
            factor,
            module.eps,
        )
        split: Tensor = y.unflatten(1, (len(x), -1))
        return split.transpose(0, 1)

    return layer
