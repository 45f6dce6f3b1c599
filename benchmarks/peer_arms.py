"""Other libraries' penalties as arms of the step benchmark, where they are installed."""

import importlib.util
import os
import warnings

import torch
from torch import Tensor, nn

from benchmarks.penalty_arms import STRENGTH, Arm, Step, adam, training


def peers() -> list[Arm]:
    """The arms of the libraries at hand."""
    found = []
    if importlib.util.find_spec("torchao") is not None:
        found.append(Arm("torchao PruneOptimizer, lasso", pruned))
    if importlib.util.find_spec("keras") is not None:
        found.append(Arm("Keras 3 model.losses, L2", keras_losses, base=keras_plain))
    return found


def pruned(model: nn.Module) -> Step:
    """torchao's proximal lasso around fused Adam; no value to read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.prototype.pat.optim import PruneOptimizer
    weights = [p for name, p in model.named_parameters() if "weight" in name]
    others = [p for name, p in model.named_parameters() if "weight" not in name]
    lasso = {"prox_type": "ProxLasso", "group_type": "ElemGrouper", "reg_lambda": STRENGTH}
    inner = torch.optim.Adam([{"params": weights, **lasso}, {"params": others}], lr=1e-3, fused=True)
    return training(model, PruneOptimizer(inner))


def _keras(strength: float) -> nn.Module:
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    def dense(width: int, activation: str | None = "relu") -> keras.layers.Layer:
        penalty = keras.regularizers.L2(0.5 * strength) if strength else None
        return keras.layers.Dense(width, activation=activation, kernel_regularizer=penalty)

    model = keras.Sequential([keras.Input((784,)), dense(1500), dense(1000), dense(500), dense(10, None)])
    assert isinstance(model, nn.Module)
    return model


def keras_plain(_: nn.Module) -> Step:
    """The same network in Keras on torch, in the same loop, without a penalty."""
    model = _keras(0.0)
    return training(model, adam(model))


def keras_losses(_: nn.Module) -> Step:
    """Its kernel regularizers, added to the loss as model.losses."""
    model = _keras(STRENGTH)

    def term() -> Tensor:
        losses: list[Tensor] = model.losses
        return torch.stack(losses).sum()

    return training(model, adam(model), term)
