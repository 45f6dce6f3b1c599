"""Compiled passes over many tensors: the numbers of single ones, whatever moves, is missing, or comes twice."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, ElasticNet, Rule, schedules
from ridgeline.regularizer import _together as together
from ridgeline.select import Mode


def network(layers: int = 3, width: int = 128, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    """Layers of equal shape, whose lines of memory are alike, then one that no four divide."""
    torch.manual_seed(0)
    hidden = [nn.Sequential(nn.Linear(width, width), nn.Tanh()) for _ in range(layers)]
    return nn.Sequential(*hidden, nn.Linear(width, 3)).to(dtype)


def batch(width: int = 128) -> Tensor:
    return torch.randn(8, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


Change = Callable[[nn.Sequential, torch.optim.Optimizer], None]


def new_memory(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    for p in model.parameters():
        p.data = p.data.clone()


def new_state(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    optimizer.load_state_dict(optimizer.state_dict())


def other_order(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    """The same memory, read in another order: square weights transposed in place."""
    for p in model.parameters():
        if p.ndim == 2 and p.shape[0] == p.shape[1]:
            p.data = p.data.t()


def one_without_gradient(model: nn.Sequential, optimizer: torch.optim.Optimizer) -> None:
    model[0].requires_grad_(False)
    for p in model[0].parameters():
        p.grad = None


CHANGES: dict[str, Change] = {
    "nothing": lambda model, optimizer: None,
    "new memory": new_memory,
    "new state": new_state,
    "other order": other_order,
    "one without a gradient": one_without_gradient,
}
PENALTIES: dict[str, Any] = {
    "L1": L1(0.01),
    "elastic net": ElasticNet(0.02, 0.5),
    "mean": L1(0.5, reduction="mean"),
    "scheduled": L1(schedules.cosine(0.02, 0.0, 6)),
    "each its own": [Rule("0.0.weight", L1(0.03)), Rule("*.weight", ElasticNet(0.01, 0.7))],
}


def train(penalty: Any, mode: Mode, change: Change, compile_: bool, kind: str) -> list[Tensor]:
    model, x = network(), batch()
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(model.parameters(), lr=0.01)
        if kind == "Adam"
        else torch.optim.SGD(model.parameters(), lr=0.1)
    )
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode, compile=compile_)
    found = []
    for step in range(6):
        optimizer.zero_grad()
        loss = model(x).square().sum()
        (loss + reg.penalty() if mode == "loss" else loss).backward()
        optimizer.step()
        found.append(reg.penalty().detach())
        if step == 2:
            change(model, optimizer)
    return found + [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("mode", ["loss", "coupled", "proximal"])
@pytest.mark.parametrize("kind", ["Adam", "SGD"])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_run_is_the_plain_run(name: str, kind: str, mode: Mode, change: str) -> None:
    if kind == "SGD" and change == "new state":
        pytest.skip("plain SGD has no state")
    runs = [train(PENALTIES[name], mode, CHANGES[change], compile_, kind) for compile_ in (False, True)]
    for plain, ours in zip(*runs, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, together.MOST + 3])
def test_as_many_calls_as_are_needed(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The values of n tensors take ⌈n/16⌉ calls; one tensor over, and what 4 does not divide, go alone."""
    model = network(layers)
    made: list[int] = []
    real = together._kernel

    def counted(passing: Callable[..., Any], count: int) -> Callable[..., Any]:
        made.append(count)
        return real(passing, count)

    reg = ridgeline.regularize(model, [Rule("*.0.weight", L1(1.0))], compile=True)
    monkeypatch.setattr(together, "_kernel", counted)
    expected = sum(
        float(w.detach().abs().sum()) for n, w in model.named_parameters() if n.endswith("0.weight")
    )
    with torch.no_grad():
        assert float(reg.penalty()) == pytest.approx(expected, rel=1e-12)
    assert made == {1: [], 2: [2], together.MOST + 3: [together.MOST, 3]}[layers]


def held(reg: ridgeline.Regularizer) -> dict[int, Any]:
    assert reg._compiled is not None
    return reg._compiled.together._held


def test_memory_that_was_left_is_let_go_of() -> None:
    """No second copy of a model stays because its lines were kept: of weights that moved, of state that is gone."""
    model = network(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="proximal", compile=True)
    model(batch()).sum().backward()
    optimizer.step()
    reg.penalty()
    assert len(held(reg)) == 10  # five weights, and their squares' means
    old = [weakref.ref(each.line) for each in held(reg).values() if each.tensor() is not None]
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    reg.bind(model, sgd)
    del optimizer
    for p in model.parameters():
        p.data = p.data.clone()
    gc.collect()
    reg.penalty()
    assert len(held(reg)) == 5
    assert not any(each() is not None for each in old)


def test_weights_that_move_at_every_step_are_not_held() -> None:
    model = network(4)
    reg = ridgeline.regularize(model, L1(0.1), compile=True)
    for _ in range(6):
        for p in model.parameters():
            p.data = p.data - 0.1
        with torch.no_grad():
            float(reg.penalty())
    assert all(each.line is None for each in held(reg).values())


def test_memory_that_moves_with_its_storage_is_read_where_it_is() -> None:
    model = network(2)
    reg = ridgeline.regularize(model, L1(0.1), compile=True)
    with torch.no_grad():
        float(reg.penalty())
        model.share_memory()
        for each in held(reg).values():  # as if another weight came to lie where this one lay
            each.place = (model.get_parameter("0.0.weight").data_ptr(), *each.place[1:])
        expected = sum(0.1 * w.abs().sum() for n, w in model.named_parameters() if n.endswith("weight"))
        torch.testing.assert_close(reg.penalty(), expected, rtol=1e-12, atol=0)


def test_inside_a_transform_the_value_is_the_plain_one() -> None:
    model = network(2)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=sgd, mode="coupled", compile=True)
    found = torch.func.grad(lambda x: x * reg.penalty().detach())(torch.ones((), dtype=torch.float64))
    torch.testing.assert_close(found, reg.penalty(), rtol=1e-12, atol=0)


def test_a_schedule_keeps_no_table_of_each_step() -> None:
    model = network(2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = schedules.cosine(0.02, 0.0, 50)
    reg = ridgeline.regularize(model, L1(schedule), optimizer=optimizer, mode="proximal", compile=True)
    for _ in range(20):
        model(batch()).square().sum().backward()
        optimizer.step()
        reg.penalty()
    assert len(reg._compiled.together._numbers) <= 4  # type: ignore[union-attr]  # compile=True
