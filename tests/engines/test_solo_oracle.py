"""Solo against naive twins: a NumPy loop, the closed ridge solution, a hand-written torch loop."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ridgeline.data import Data
from ridgeline.lanes._program import batches
from ridgeline.noise import Clock
from ridgeline.penalties import L1, L2
from ridgeline.select import Mode
from tests.engines.worlds import classes, column, named, numbers, penalty, program, same, trained

Array = npt.NDArray[np.float64]


def arrays(data: Data) -> tuple[Array, Array]:
    """Training inputs and targets in float64."""
    x, y = data.train.batch(torch.arange(len(data.train)))
    return x.double().numpy(), y.double().numpy()


def naive(data: Data, kind: type[L1] | type[L2], strength: float, lr: float, steps: int) -> list[list[float]]:
    """Full-batch gradient descent on a line: [data loss, penalty] before each step and after the last."""
    x, y = arrays(data)
    layer = program(data, named("linear")).build(Clock(0), data).get_submodule("output")
    w, b = (t.detach().double().numpy().copy() for t in (layer.weight.T, layer.bias))  # type: ignore[operator]
    curve = []
    for step in range(steps + 1):
        error = x @ w + b - y
        value = strength * (0.5 * (w**2).sum() if kind is L2 else abs(w).sum())
        curve.append([float((error**2).mean()), float(value)])
        if step < steps:
            slope = w if kind is L2 else np.sign(w)
            w -= lr * (2.0 / len(x) * x.T @ error + strength * slope)
            b -= lr * 2.0 * error.mean(0)
    return curve


@pytest.mark.parametrize("kind", [L1, L2])
@pytest.mark.parametrize(("strength", "mode"), [(0.0, "loss"), (0.3, "loss"), (0.3, "coupled")])
def test_every_step_is_that_of_a_naive_loop(kind: type[L1] | type[L2], strength: float, mode: Mode) -> None:
    data = numbers()
    found = trained(
        data,
        named("linear"),
        penalty(kind, strength, mode),
        batch_size=len(data.train),
        steps=25,
        evaluate_every=1,
        lr=0.05,
    )
    expected = np.array(naive(data, kind, strength, lr=0.05, steps=25))
    np.testing.assert_allclose(column(found, "train_loss"), expected[:, 0], rtol=2e-5)
    np.testing.assert_allclose(column(found, "penalty"), expected[:, 1], rtol=2e-5)


@pytest.mark.parametrize("loss", ["mse", "half_mse"])
@pytest.mark.parametrize("mode", ["loss", "coupled"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_limit_is_the_closed_ridge_solution(loss: str, mode: Mode, momentum: float) -> None:
    data, strength = numbers(), 0.4
    found = trained(
        data,
        named("linear"),
        penalty(L2, strength, mode),
        batch_size=len(data.train),
        steps=600,
        evaluate_every=600,
        lr=0.05,
        momentum=momentum,
        loss=loss,
    )
    x, y = arrays(data)
    factor = {"mse": 2.0, "half_mse": 1.0}[loss] / len(x)
    away = x - x.mean(0)  # the bias is not penalised: it takes up the means
    w = np.linalg.solve(factor * away.T @ away + strength * np.eye(x.shape[1]), factor * away.T @ y)
    np.testing.assert_allclose(found.weights["output.weight"].numpy(), w.T, rtol=1e-4, atol=1e-5)
    intercept = y.mean(0) - x.mean(0) @ w
    np.testing.assert_allclose(found.weights["output.bias"].numpy(), intercept, rtol=1e-4)


OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0.9},
    {"optimizer": "sgd", "momentum": 0.9, "nesterov": True},
    {"optimizer": "adam", "lr": 0.01, "betas": (0.8, 0.95)},
    {"optimizer": "rmsprop", "lr": 0.01, "alpha": 0.9, "eps": 1e-6, "momentum": 0.5},
]


def by_hand(
    data: Data, settings: dict[str, Any], decay: dict[str, float], steps: int = 20
) -> dict[str, Tensor]:
    """An ordinary torch loop with weight_decay by kind of parameter."""
    model = program(data).build(Clock(0), data)
    options = {"lr": 0.1, **settings}
    kinds = [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop]
    kind = {each.__name__.lower(): each for each in kinds}[options.pop("optimizer")]
    groups = [
        {"params": [p for n, p in model.named_parameters() if n.endswith(leaf)], "weight_decay": amount}
        for leaf, amount in decay.items()
    ]
    optimizer = kind(groups, **options)
    for index in batches(len(data.train), 8, 0, steps):
        x, y = data.train.batch(index)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


def close(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """Equal to float tolerance, name by name."""
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("settings", OPTIMIZERS)
def test_l2_is_torch_weight_decay_on_the_weights_alone(settings: dict[str, Any]) -> None:
    data = classes()
    expected = by_hand(data, settings, {"weight": 0.1, "bias": 0.0})
    for mode in ("coupled", "loss"):
        close(trained(data, None, penalty(L2, 0.1, mode), **settings).weights, expected)
    plain = by_hand(data, settings, {"weight": 0.0, "bias": 0.0})
    assert not torch.allclose(plain["output.weight"], expected["output.weight"], rtol=1e-2)


@pytest.mark.parametrize("settings", [*OPTIMIZERS, {"optimizer": "adamw", "lr": 0.01}])
def test_weight_decay_is_the_optimizers_own_and_takes_the_biases_too(settings: dict[str, Any]) -> None:
    data = classes()
    expected = by_hand(data, settings, {"weight": 0.5, "bias": 0.5})
    close(trained(data, weight_decay=0.5, **settings).weights, expected)
    spared = by_hand(data, settings, {"weight": 0.5, "bias": 0.0})
    assert not torch.allclose(spared["output.bias"], expected["output.bias"], rtol=1e-3)


@pytest.mark.parametrize("settings", [*OPTIMIZERS, {"optimizer": "adamw", "lr": 0.01}])
@pytest.mark.parametrize("mode", ["loss", "coupled"])
@pytest.mark.parametrize("kind", [L1, L2])
def test_strength_0_is_the_plain_optimizer_bit_for_bit(
    settings: dict[str, Any], mode: Mode, kind: type[L1] | type[L2]
) -> None:
    data = classes()
    assert same(trained(data, None, penalty(kind, 0.0, mode), **settings), trained(data, **settings))
