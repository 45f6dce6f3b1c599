"""The step of a proximal operator in the optimizer's own metric: 1/H, a number or one an element.

H is the diagonal by which the optimizer's update scales a gradient. A prox in another metric has another
fixed point: the Euclidean one under Adam gives no zeros at all on a Lasso that has 25.
"""

from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, Adamax, NAdam, Optimizer, RMSprop

from ridgeline.regularizer._kernels import Factor, fold
from ridgeline.regularizer._prox_kernels import ElementStep
from ridgeline.regularizer._scratch import scratch

# The step, or what computes it piece by piece from the optimizer's state of this parameter.
Step = tuple[Factor | ElementStep, tuple[Tensor, ...]]


def learning_rate(group: dict[str, Any]) -> Factor:
    """The group's learning rate; a tensor on the CPU as a number."""
    return fold(group["lr"])


def euclidean(group: dict[str, Any]) -> Step:
    """H = 1/η for every optimizer."""
    return learning_rate(group), ()


def refusal(optimizer: Optimizer) -> str | None:
    """Why the optimizer's metric is not known; None where it is.

    Known: SGD (with momentum, Nesterov, dampening), Adam, AdamW, NAdam, RMSprop, Adagrad, Adamax.
    """
    if isinstance(optimizer, (SGD, Adam, NAdam, RMSprop, Adagrad, Adamax)):
        return None
    return (
        f"mode 'proximal' does not know the metric of {type(optimizer).__name__}; pass metric='euclidean' (the "
        f"zeros are then those of another problem), or use SGD or an Adam-like optimizer."
    )


def optimizer_step(optimizer: Optimizer, group: dict[str, Any], p: Tensor) -> Step:
    """1/H for one parameter, from the optimizer's state after its update.

    SGD: η(1 − dampening)/(1 − μ). Adam-like: η/(√v̂ + ε).
    """
    lr = learning_rate(group)
    state = optimizer.state[p]
    if isinstance(optimizer, SGD):
        momentum = group["momentum"]
        return (lr * ((1 - group["dampening"]) / (1 - momentum)) if momentum else lr), ()
    if isinstance(optimizer, RMSprop):
        lr = lr / (1 - group["momentum"]) if group["momentum"] else lr
        if group["centered"]:
            return _over_deviation(lr, group["eps"]), (state["square_avg"], state["grad_avg"])
        return _over_root(lr, group["eps"], 1.0), (state["square_avg"],)
    steps = fold(state["step"])
    # 0 where a fused optimizer skipped its first update: nothing moves then, and nothing may become NaN
    steps = steps.clamp_min(1.0) if isinstance(steps, Tensor) else max(steps, 1.0)
    if isinstance(optimizer, Adagrad):
        lr = lr / (1 + (steps - 1) * group["lr_decay"])
        return _over_root(lr, group["eps"], 1.0), (state["sum"],)
    if isinstance(optimizer, Adamax):
        return ElementStep(torch.clone, lr), (state["exp_inf"],)
    if isinstance(optimizer, NAdam):
        lr = lr * _nesterov_factor(group, state, float(steps))
    second = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    return _over_root(lr, group["eps"], 1.0 - fold(group["betas"][1]) ** steps), (second,)


def _over_root(lr: Factor, eps: float, correction: Factor) -> ElementStep:
    """v ↦ η/(√(v/c) + ε) = η√c/(√v + ε√c)."""
    root_c = correction**0.5
    shift = eps * root_c
    plain = shift if isinstance(shift, float) else None
    return ElementStep(lambda v: torch.sqrt(v, out=scratch(v)).add_(shift), lr * root_c, plain)


def _over_deviation(lr: Factor, eps: float) -> ElementStep:
    """(v, m) ↦ η/(√(v − m²) + ε)."""

    def root(v: Tensor, mean: Tensor) -> Tensor:
        return torch.addcmul(v, mean, mean, value=-1.0).clamp_min_(0).sqrt_().add_(eps)

    return ElementStep(root, lr)


def _nesterov_factor(group: dict[str, Any], state: dict[str, Any], steps: float) -> float:
    """What NAdam's two gradient terms add up to where momentum and gradient agree; near 1."""
    beta, psi, product = float(group["betas"][0]), group["momentum_decay"], float(state["mu_product"])
    now = beta * (1.0 - 0.5 * float(0.96 ** (steps * psi)))
    after = beta * (1.0 - 0.5 * float(0.96 ** ((steps + 1) * psi)))
    return (1.0 - now) / (1.0 - product) + after / (1.0 - product * after)
