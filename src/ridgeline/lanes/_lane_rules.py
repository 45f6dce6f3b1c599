"""One update of one parameter for all lanes at once, in place: what torch's optimizers do to each.

Shapes: weights w, gradients g and state [L, n]; settings are columns [L, 1]. Gradients may be overwritten.
Each rule rounds as the vector part of torch's kernels, but Adam's in the last bit of few elements.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ridgeline.lanes._settings import Training


def sgd(
    w: Tensor,
    g: Tensor,
    buffer: Tensor | None,
    *,
    rate: Tensor,
    momentum: Tensor,
    first: bool,
    nesterov: bool,
) -> None:
    """b ← μb + g (g at first), w ← w − η b, with Nesterov w − η (g + μb).

    Args:
        rate: −η.
    """
    if buffer is not None:
        if first:
            buffer.copy_(g)
        else:
            buffer.mul_(momentum).add_(g)
        g = torch.addcmul(g, buffer, momentum) if nesterov else buffer
    w.addcmul_(g, rate)


def adam(
    w: Tensor,
    g: Tensor,
    mean: Tensor,
    square: Tensor,
    *,
    rate: Tensor,
    root: Tensor,
    new: Tensor,
    keep_square: Tensor,
    new_square: Tensor,
    eps: Tensor,
) -> None:
    """m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², w ← w − η/c₁ · m / (√v/√c₂ + ε).

    Args:
        rate, root: −η/c₁ and √c₂, where c = 1 − βᵏ after k updates.
        new, keep_square, new_square: 1−β₁, β₂, 1−β₂.
    """
    mean.lerp_(g, new)
    square.mul_(keep_square).addcmul_(g * new_square, g)
    below = square.sqrt().div_(root).add_(eps)
    w.add_((mean * rate).div_(below))


def rmsprop(
    w: Tensor,
    g: Tensor,
    square: Tensor,
    buffer: Tensor | None,
    *,
    rate: Tensor,
    momentum: Tensor,
    keep_square: Tensor,
    new_square: Tensor,
    eps: Tensor,
) -> None:
    """v ← αv + (1−α)g², w ← w − η g/(√v + ε); with momentum b ← μb + g/(√v + ε), w ← w − η b.

    Args:
        rate: −η.
        keep_square, new_square: α, 1−α.
    """
    square.mul_(keep_square).addcmul_(g * new_square, g)
    below = square.sqrt().add_(eps)
    if buffer is None:
        w.add_((g * rate).div_(below))
    else:
        w.addcmul_(buffer.mul_(momentum).add_(g.div_(below)), rate)


def fused_adam(tensors: Sequence[list[Tensor]], training: Training, rate: float, count: int) -> None:
    """Adam or AdamW by torch's kernel, for lanes of one setting.

    Args:
        tensors: weights, gradients, means and means of squares, each of any shape.
        count: updates made, this one included.
    """
    kernel: Any = torch._fused_adam_ if training.optimizer == "adam" else torch._fused_adamw_
    steps = torch.tensor(float(count), device=tensors[0][0].device)
    kernel(
        *tensors,
        [],
        [steps] * len(tensors[0]),
        lr=rate,
        beta1=training.betas[0],
        beta2=training.betas[1],
        weight_decay=training.weight_decay,
        eps=training.eps,
        amsgrad=False,
        maximize=False,
    )
