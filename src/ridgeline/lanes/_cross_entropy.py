"""Cross-entropy of few classes for all lanes: torch's goes row by row, which takes three times as long."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ridgeline.lanes._layers import in_blocks


class _CrossEntropy(torch.autograd.Function):
    """log Σ exp(z) − z_y, z = output − max, for output [L, n, C] and y [L, n]."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, y: Tensor) -> Tensor:
        z = output - output.amax(2, keepdim=True)
        hit = z.gather(2, y[:, :, None]).squeeze(2)
        exps = in_blocks(torch.exp, z)
        total = exps.sum(2)
        ctx.save_for_backward(exps, total, y)
        return in_blocks(torch.log, total).sub_(hit)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        exps, total, y = ctx.saved_tensors
        slope = exps * (g / total)[:, :, None]
        return slope.scatter_add_(2, y[:, :, None], -g[:, :, None]), None


cross_entropy: Callable[[Tensor, Tensor], Tensor] = _CrossEntropy.apply
