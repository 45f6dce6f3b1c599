"""The named models: their shapes, and their weights as functions of (seed, name)."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.models import NETWORKS, build_named
from ridgeline.models._initial import draw_initial
from ridgeline.noise import Clock, Dropout, stream_key, uniform


def build(name: str, shape: tuple[int, ...], n_outputs: int = 5, seed: int = 0, **options: Any) -> nn.Module:
    return build_named(name, options, shape, n_outputs, Clock(seed))


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in model.named_parameters() if p.ndim > 1}


@pytest.mark.parametrize(
    ("name", "shape", "options", "weights"),
    [
        ("linear", (3, 4), {}, {"output.weight": (5, 12)}),
        ("mlp", (7,), {}, {"hidden1.weight": (256, 7), "output.weight": (5, 256)}),
        (
            "mlp",
            (1, 2, 2),
            {"hidden": [3, 6]},
            {"hidden1.weight": (3, 4), "hidden2.weight": (6, 3), "output.weight": (5, 6)},
        ),
        (
            "cnn",
            (3, 9, 8),
            {"channels": [2, 4, 6], "hidden": 7},
            {
                "conv1.weight": (2, 3, 3, 3),
                "conv2.weight": (4, 2, 3, 3),
                "conv3.weight": (6, 4, 3, 3),
                "hidden.weight": (7, 6),
                "output.weight": (5, 7),
            },
        ),
    ],
)
def test_shapes(name: str, shape: tuple[int, ...], options: Any, weights: Any) -> None:
    model = build(name, shape, **options)
    assert shapes(model) == weights
    biases = {key.replace("weight", "bias"): (size[0],) for key, size in weights.items()}
    assert {n: tuple(p.shape) for n, p in model.named_parameters() if p.ndim == 1} == biases
    assert model(torch.zeros(6, *shape)).shape == (6, 5)


def test_default_cnn_on_28_by_28() -> None:
    sizes = shapes(build("cnn", (1, 28, 28)))
    assert sizes["conv2.weight"] == (32, 16, 3, 3)
    assert sizes["hidden.weight"] == (64, 32 * 7 * 7)


def test_cnn_refuses_flat_inputs_and_too_many_poolings() -> None:
    with pytest.raises(RidgelineError, match=r"needs images .*\(64,\); use model: \{name: mlp\}"):
        build("cnn", (64,))
    with pytest.raises(
        RidgelineError, match=r"after 4 poolings nothing is left of a \(1, 8, 8\) image.*fewer"
    ):
        build("cnn", (1, 8, 8), channels=[1, 1, 1, 1, 1])
    build("cnn", (1, 8, 8), channels=[1, 1, 1])


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_dropout_is_ours_with_the_rate_and_clock_given(name: str) -> None:
    clock = Clock(1)
    model = build_named(name, {"dropout": 0.3}, (1, 8, 8), 5, clock)
    layers = [m for m in model.modules() if isinstance(m, (nn.Dropout, Dropout))]
    assert [(type(m), m.p) for m in layers] == [(Dropout, 0.3)]
    assert layers[0].clock is clock


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_are_functions_of_seed_and_name(name: str) -> None:
    """Each is its own stream, scaled to U(−1/√fan_in, 1/√fan_in); computed here in float64."""
    model = build(name, (1, 8, 8), seed=9)
    for prefix, module in model.named_modules():
        if not isinstance(module, (nn.Linear, nn.Conv2d)):
            continue
        bound = np.prod(module.weight.shape[1:]) ** -0.5
        for leaf, parameter in module.named_parameters():
            u = uniform(stream_key(9, f"weights/{prefix}.{leaf}"), parameter.numel()).numpy()
            expected = ((2 * u - 1) * bound).astype(np.float32).reshape(parameter.shape)
            np.testing.assert_allclose(parameter.detach().numpy(), expected, rtol=1e-6, atol=1e-9)


def test_weights_have_their_distribution() -> None:
    model = build("cnn", (1, 28, 28), seed=4)
    for name, parameter in model.named_parameters():
        if parameter.numel() < 1000:
            continue
        bound = parameter[0].numel() ** -0.5
        values = parameter.detach().double().flatten().numpy()
        assert np.abs(values).max() <= bound
        assert stats.kstest(values, "uniform", args=(-bound, 2 * bound)).pvalue > 1e-4, name


def state(seed: int, **options: Any) -> dict[str, Tensor]:
    return dict(build("mlp", (6,), seed=seed, **options).state_dict())


def test_weights_depend_on_the_seed_and_not_on_the_global_generator() -> None:
    torch.manual_seed(0)
    first = state(1)
    torch.manual_seed(1)
    second, other = state(1), state(2)
    for name in first:
        assert torch.equal(first[name], second[name])
        assert not torch.equal(first[name], other[name])
    wider = state(1, hidden=[256, 8])  # a further layer leaves the first one as it was
    assert torch.equal(wider["hidden1.weight"], first["hidden1.weight"])


def test_layers_without_an_initial_law_are_refused() -> None:
    with pytest.raises(TypeError, match="1: no initial law for LayerNorm"):
        draw_initial(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), 0)
