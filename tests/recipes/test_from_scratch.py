"""Dropout, L2 and SGD as written out in examples/ are the library's, within tolerance."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.noise import Clock, Dropout

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", list(TOLERANCE))


def loaded() -> ModuleType:
    """The example as a module."""
    path = Path(__file__).parents[2] / "examples" / "from_scratch.py"
    spec = importlib.util.spec_from_file_location("from_scratch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


scratch: Any = loaded()


def drawn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference, as a share of the largest element."""
    return float((a - b).detach().abs().max() / b.detach().abs().max())


@DTYPES
def test_the_penalty_is_l2_in_value_and_gradient(dtype: torch.dtype) -> None:
    w = drawn(7, 5, dtype=dtype).requires_grad_()
    theirs = ridgeline.L2(3.0)
    ours = 3.0 * scratch.l2_penalty(w)
    ours.backward()
    assert w.grad is not None
    assert apart(ours, theirs.value(w)) <= TOLERANCE[dtype]
    assert apart(w.grad, theirs.gradient(w)) <= TOLERANCE[dtype]
    assert float(ours.detach()) == pytest.approx(1.5 * float(w.detach().square().sum()))


@DTYPES
@pytest.mark.parametrize("batch_size", [1, 4])
def test_sgd_is_torchs(dtype: torch.dtype, batch_size: int) -> None:
    """With a loss that is summed, dividing by the batch size is the mean of the loss."""
    x, y = drawn(12, 3, dtype=dtype), drawn(12, 1, seed=1, dtype=dtype)
    ours, theirs = ([drawn(3, 1, seed=2, dtype=dtype).requires_grad_()] for _ in range(2))
    optimizer = torch.optim.SGD(theirs, lr=0.1)
    for step in range(30):
        rows = slice(batch_size * (step % 3), batch_size * (step % 3 + 1))
        (x[rows] @ ours[0] - y[rows]).square().sum().backward()
        scratch.sgd(ours, 0.1, batch_size)
        optimizer.zero_grad()
        (x[rows] @ theirs[0] - y[rows]).square().mean().backward()
        optimizer.step()
    assert apart(ours[0], theirs[0]) <= TOLERANCE[dtype]
    assert not torch.equal(theirs[0], drawn(3, 1, seed=2, dtype=dtype))


def masks(layers: Sequence[Dropout]) -> Any:
    """The masks that ridgeline's layers draw, in their order; the same clock draws them again."""
    count = 0

    def mask(shape: Sequence[int], p: float) -> Tensor:
        nonlocal count
        layer = layers[count % len(layers)]
        count += 1
        assert layer.p == p
        again = Dropout(layer.p, layer.site.removeprefix("dropout/"), layer.clock)
        found: Tensor = again(torch.ones(shape)) != 0
        return found

    return mask


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 1.0])
def test_the_dropout_layer_is_the_librarys_with_the_same_mask(p: float) -> None:
    x, layer = drawn(40, 30), Dropout(p, "0", Clock(seed=4, step=9))
    ours = scratch.dropout_layer(x, p, masks([layer]))
    # ridgeline keeps a whole number of 2⁻¹⁶, 1 − p to within 2⁻¹⁷
    assert torch.allclose(ours, layer(x), rtol=2**-17 / max(1 - p, 2**-17), atol=0.0)
    assert p != 0 or torch.equal(ours, x)
    assert p != 1 or not ours.any()


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_the_dropout_layer_is_torchs_in_law(p: float) -> None:
    n = 200_000
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        ours, theirs = scratch.dropout_layer(torch.ones(n), p), nn.Dropout(p)(torch.ones(n))
    assert ours.unique().tolist() == theirs.unique().tolist()
    error = (p / (1 - p) / n) ** 0.5
    assert abs(float(ours.double().mean()) - 1) < 4 * error
    assert abs(float(ours.double().mean() - theirs.double().mean())) < 4 * 2**0.5 * error


def test_a_share_outside_0_and_1_is_refused() -> None:
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match="lies in"):
            scratch.dropout_layer(torch.ones(2), p)


def order(n: int, batch_size: int, epochs: int) -> list[Tensor]:
    """Each epoch's rows in a new order."""
    generator = torch.Generator().manual_seed(8)
    return [rows for _ in range(epochs) for rows in torch.randperm(n, generator=generator).split(batch_size)]


@DTYPES
@pytest.mark.parametrize("strength", [0.0, 3.0])
@pytest.mark.parametrize("way", ["weight_decay", "loss", "coupled"])
def test_the_line_ends_where_the_librarys_does(dtype: torch.dtype, strength: float, way: Any) -> None:
    x, start = drawn(20, 200, dtype=dtype), drawn(200, 1, seed=1, dtype=dtype)
    y = 0.01 * x.sum(1, keepdim=True) + 0.05
    steps = order(20, 1, 20)
    w, b = start.clone().requires_grad_(), torch.zeros(1, dtype=dtype, requires_grad=True)
    scratch.train_line(x, y, w, b, steps, 0.003, strength)

    model = nn.Linear(200, 1, dtype=dtype)
    with torch.no_grad():
        model.weight.copy_(start.T)
        model.bias.zero_()
    decay = strength if way == "weight_decay" else 0.0
    groups: list[dict[str, Any]] = [
        {"params": [model.weight], "weight_decay": decay},
        {"params": [model.bias]},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.003)
    reg = None
    if way != "weight_decay":
        reg = ridgeline.regularize(model, ridgeline.L2(strength), optimizer=optimizer, mode=way)
    for rows in steps:
        loss = 0.5 * nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        (loss if reg is None else loss + reg.penalty()).backward()
        optimizer.step()
    assert apart(w.T, model.weight) <= TOLERANCE[dtype]
    assert apart(b, model.bias) <= TOLERANCE[dtype]
    assert apart(start, w) > 0.01


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.25, 0.5)])
def test_the_mlp_ends_where_the_librarys_does_with_the_same_masks(rates: tuple[float, float]) -> None:
    """Rates of which 2¹⁶ is a multiple, so that ridgeline's are exactly these."""
    x, y = drawn(60, 8), torch.arange(60) % 3
    clock = Clock(seed=1)
    drops = [Dropout(p, str(site), clock) for site, p in enumerate(rates)]
    hidden = [nn.Linear(8, 12), nn.ReLU(), drops[0], nn.Linear(12, 12), nn.ReLU(), drops[1]]
    model = nn.Sequential(*hidden, nn.Linear(12, 3)).double()
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(0.5 * drawn(*parameter.shape, seed=number))
    ours = [p.detach().clone().requires_grad_() for p in model.parameters()]
    steps = order(60, 16, 10)  # the last batch of an epoch holds 12
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    mask = masks(drops)
    for step, rows in enumerate(steps):
        clock.step = step
        scratch.train_mlp(x, y, ours, [rows], 0.1, rates, mask)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    for a, b in zip(ours, model.parameters(), strict=True):
        assert apart(a, b) <= 1e-10
    assert apart(scratch.mlp(x, ours), model.eval()(x)) <= 1e-10  # evaluation: dropout off
