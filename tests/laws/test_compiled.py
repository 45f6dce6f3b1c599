"""Compiled passes: the numbers of the plain ones, for each pass, dtype and mode; and what cannot compile."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, L2, ElasticNet
from ridgeline.penalties import Penalty
from ridgeline.regularizer import _compiled as compiled
from ridgeline.regularizer import _kernels as kernels
from ridgeline.select import Mode

PENALTIES: dict[str, Penalty] = {
    "L1": L1(0.3),
    "L1 mean": L1(0.3, reduction="mean"),
    "elastic net": ElasticNet(0.3, 0.4),
    "sum": L1(0.2) + L2(0.1),
    "zero": L1(0.0),
}
TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-13, torch.bfloat16: 2e-2}
SHAPES = [(130, 129), (257, 64)]


@pytest.fixture(autouse=True)
def _kernels() -> None:
    compiled.compile_now([torch.empty(0, dtype=dtype) for dtype in TOLERANCE], (), compiled.Compiled())


def weights(dtype: torch.dtype, shape: tuple[int, ...] = SHAPES[0]) -> Tensor:
    w = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    w[0, :7] = 0.0
    return w


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", PENALTIES)
def test_value_and_gradient(name: str, dtype: torch.dtype, shape: tuple[int, int]) -> None:
    penalty, w, tolerance = PENALTIES[name], weights(dtype, shape), TOLERANCE[dtype]
    passes = compiled.Compiled()
    assert passes.mixed(w, 1.0) is not None
    value = kernels.value(penalty, w, passes)
    assert value.dtype == kernels.value(penalty, w).dtype
    torch.testing.assert_close(value, penalty.value(w), rtol=10 * tolerance, atol=0)
    for target in (torch.ones_like(w), w.clone()):
        expected = target + 0.5 * penalty.gradient(w)
        inside = w if torch.equal(target, w) else target
        source = target if inside is w else w
        kernels.add_gradient(target, penalty, source, 0.5, passes)
        torch.testing.assert_close(target, expected, rtol=tolerance, atol=tolerance)


def network(dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 500), nn.Tanh(), nn.Linear(500, 40), nn.Tanh(), nn.Linear(40, 3)).to(
        dtype
    )


RUNS: dict[str, Penalty] = {"L1": L1(0.01), "elastic net": ElasticNet(0.02, 0.5)}
OPTIMIZERS: dict[str, Any] = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "fused": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.001, centered=True),
    "SGD": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled", "proximal"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_the_plain_run(name: str, mode: Mode, kind: str) -> None:
    found = []
    x = torch.randn(16, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for compile_ in (False, True):
        model = network()
        optimizer = OPTIMIZERS[kind](model.parameters())
        reg = ridgeline.regularize(model, RUNS[name], optimizer=optimizer, mode=mode, compile=compile_)
        for _ in range(5):
            optimizer.zero_grad()
            loss = model(x).square().sum()
            (loss + reg.penalty() if mode == "loss" else loss).backward()
            optimizer.step()
        found.append([p.detach().clone() for p in model.parameters()] + [reg.penalty().detach()])
        zeros = int((model[0].weight == 0).sum())  # type: ignore[index]  # a Sequential
        assert (zeros > 0) == (mode == "proximal")
    for plain, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-8, atol=1e-11)


def after_a_step() -> tuple[nn.Module, ridgeline.Regularizer]:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    reg = ridgeline.regularize(model, L1(0.01), optimizer=optimizer, mode="proximal", compile=True)
    model(torch.ones(2, 40, dtype=torch.float64)).sum().backward()
    optimizer.step()
    return model, reg


WRITES: dict[str, Any] = {
    "nothing": lambda p: None,
    "in place": lambda p: p.mul_(2.0),
    "through data": lambda p: p.data.mul_(0.5),
    "an average swapped in": lambda p: p.data.copy_(torch.ones_like(p)),
    "other memory": lambda p: setattr(p, "data", torch.zeros_like(p)),
    "the step's own numbers again": lambda p: p.copy_(p.clone()),
}


@pytest.mark.parametrize("how", WRITES)
def test_the_value_is_that_of_the_weights_as_they_are(how: str) -> None:
    """Lines of memory are kept from step to step; weights written or moved since are read anew."""
    model, reg = after_a_step()
    with torch.no_grad():
        for p in model.parameters():
            WRITES[how](p)
    expected = sum(0.01 * w.detach().abs().sum() for n, w in model.named_parameters() if "weight" in n)
    torch.testing.assert_close(reg.penalty(), expected, rtol=1e-12, atol=0)


def test_nothing_to_compile_is_refused() -> None:
    with pytest.raises(ValueError, match=r"compile=True has no effect here: only L1 and elastic net"):
        ridgeline.regularize(network(), L2(0.1), compile=True)


def test_a_machine_without_a_compiler_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError("no compiler on this machine")

    monkeypatch.setattr(compiled, "_kernel", broken)
    with pytest.raises(
        RuntimeError, match=r"does not work here \(no compiler on this machine\); install a C\+\+"
    ):
        ridgeline.regularize(network(), L1(0.1), compile=True)
