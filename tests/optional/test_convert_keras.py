"""Keras itself: the objective it computes and the weights it trains are ours at the converted strength."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ridgeline.penalties import L1, L2, Penalty, convert
from tests.laws.test_convert_against_libraries import WIDE, X, Y, minimum

CLOSE = 1e-5  # Keras on torch averages in float32, whatever the data's type
STRENGTHS = {"L1": 0.02, "L2": 0.3}
PENALTIES: dict[str, Penalty] = {"L1": L1(STRENGTHS["L1"]), "L2": L2(STRENGTHS["L2"])}


def theirs(keras: Any, name: str) -> Any:
    """A linear Keras model with our penalty in its own words."""
    strength = convert(STRENGTHS[name], f"ridgeline.{name}", f"keras.{name}")
    penalty = getattr(keras.regularizers, name)(strength)
    layer = keras.layers.Dense(1, kernel_initializer="ones", kernel_regularizer=penalty)
    model = keras.Sequential([keras.Input((WIDE,)), layer])
    model.compile(keras.optimizers.SGD(0.2), loss="mse")
    return model


@pytest.mark.parametrize("name", PENALTIES)
def test_the_objective_is_ours(keras: Any, name: str) -> None:
    model = theirs(keras, name)
    x, y = X.float(), Y.float()
    output = model(x)
    ours = F.mse_loss(output, y) + PENALTIES[name].value(model.layers[0].kernel.value)
    assert torch.allclose(model.compute_loss(x=x, y=y, y_pred=output), ours, rtol=1e-6)


@pytest.mark.parametrize("name", PENALTIES)
def test_the_minimum_is_ours(keras: Any, name: str) -> None:
    model = theirs(keras, name)
    for _ in range(300):
        model.train_on_batch(X.numpy(), Y.numpy())
    w = model.layers[0].kernel.value.detach().numpy().T
    assert abs(w).min() > 1e-3  # at a kink of L1 plain gradient steps would not come to rest
    assert np.allclose(minimum(PENALTIES[name], "mse", Y), w, rtol=CLOSE, atol=CLOSE)
