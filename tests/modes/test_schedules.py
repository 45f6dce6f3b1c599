"""Strength schedules: the functions, the clock that turns them, and what keeps it."""

import io
import math
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import ridgeline
from ridgeline.penalties import L1, L2, L2SP, GroupLasso, Penalty
from ridgeline.schedules import Schedule, cosine, linear, warmup
from tests.modes.worlds import biases, close, data_loss, equal, network, plain, state, steps, weights


def test_the_functions() -> None:
    assert [linear(1.0, 0.0, 4).at(k) for k in range(6)] == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert [warmup(2.0, 4).at(k) for k in range(6)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.0]
    expected = [0.5 + 0.5 * math.cos(math.pi * min(k, 4) / 4) for k in range(6)]
    assert [cosine(1.0, 0.0, 4).at(k) for k in range(6)] == pytest.approx(expected)
    assert [str(s) for s in (linear(1, 0, 4), warmup(2, 4), cosine(1, 0, 4))] == [
        "linear(1 → 0, 4)",
        "warmup(2, 4)",
        "cosine(1 → 0, 4)",
    ]
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="must be a whole number ≥ 1"):
            linear(0.0, 1.0, bad)  # type: ignore[arg-type]
    for strength in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be a finite number ≥ 0"):
            warmup(strength, 3)
    with pytest.raises(ValueError, match=r"downhill gives -1\.0 at step 2"):
        Schedule(lambda k: 1.0 - k, "downhill").at(2)
    with pytest.raises(ValueError, match="is a schedule, warmup"):
        L2(warmup(1.0, 3)).value(torch.ones(2))


@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled", "proximal"])
@pytest.mark.parametrize("kind", [L1, L2, GroupLasso])
def test_the_clock_is_the_optimizers_steps(kind: Any, mode: Any) -> None:
    """Each step is that of a regularizer with the strength of its moment."""
    plan = linear(0.5, 0.0, 4)
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin))
    reg = ridgeline.regularize(model, kind(plan), optimizer=optimizer, mode=mode)
    for k in range(6):
        own = ridgeline.regularize(twin, kind(plan.at(k)), optimizer=other, mode=mode)
        value = reg.penalty()
        assert float(value.detach()) == pytest.approx(float(own.penalty().detach()), rel=1e-12)
        for net, built, r in ((model, optimizer, reg), (twin, other, own)):
            built.zero_grad()
            (data_loss(net, k) + (r.penalty() if mode == "loss" else 0.0)).backward()
            built.step()
        own.remove()
        assert close(model.parameters(), twin.parameters(), rtol=1e-10)
    assert reg.state_dict()["clock"] == 6
    with pytest.raises(RuntimeError, match="the bound optimizer's steps are the clock"):
        reg.advance()


def test_advance_where_no_optimizer_is_bound() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    reg = ridgeline.regularize(model, L2(warmup(1.0, 4)))
    size = 0.5 * float(sum(w.detach().square().sum() for w in weights(model)))
    values = []
    for _ in range(3):
        value = reg.penalty()
        values.append(float(value.detach()) / size)
        value.backward()
        optimizer.step()
        reg.advance()
    reg.advance(10)
    values.append(float(reg.penalty().detach()) / size)
    assert values == pytest.approx([0.0, 0.25, 0.5, 1.0])


def test_a_schedule_that_nobody_advances_raises() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L2(warmup(1.0, 4)))
    reg.penalty().backward()
    reg.penalty().backward()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"stands still.* call reg.advance\(\) after each step"):
        reg.penalty()


def test_the_audit_shows_the_schedule() -> None:
    reg = ridgeline.regularize(network(), L2(warmup(1.0, 4)))
    assert "warmup(1, 4)" in str(reg.audit())


def test_a_state_dict_keeps_the_clock_and_the_references() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    penalty: Penalty = L2SP(0.5) + L1(linear(0.5, 0.0, 10))
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode="coupled")
    steps(model, optimizer, 3)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "reg": reg.state_dict()}, file)
    file.seek(0)
    kept = torch.load(file, weights_only=True)
    steps(model, optimizer, 3)

    again = network(seed=5)
    again.load_state_dict(kept["model"])
    other = torch.optim.SGD(again.parameters(), lr=0.1)
    resumed = ridgeline.regularize(again, penalty, optimizer=other, mode="coupled")
    resumed.load_state_dict(kept["reg"])
    assert resumed.state_dict()["clock"] == 3
    steps(again, other, 3)
    assert equal(model.parameters(), again.parameters())
    assert torch.equal(reg.penalty(), resumed.penalty())


def test_a_state_dict_in_mode_loss() -> None:
    model = network()
    reg = ridgeline.regularize(model, L2SP(0.5))
    kept = reg.state_dict()
    with torch.no_grad():
        for w in weights(model):
            w.add_(1.0)
    again = ridgeline.regularize(model, L2SP(0.5))
    assert float(again.penalty().detach()) == 0.0
    again.load_state_dict(kept)
    assert torch.equal(again.penalty(), reg.penalty())
    again.penalty().backward()
    gradient = weights(model)[0].grad
    assert gradient is not None
    assert torch.allclose(gradient, torch.tensor(0.5, dtype=torch.float64))


PLANS: dict[str, Any] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, step_size=2, gamma=0.5),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + k)),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.2, total_steps=8),
}


@pytest.mark.parametrize("mode", ["coupled", "decoupled"])
@pytest.mark.parametrize("native", [True, False], ids=["native", "hook"])
@pytest.mark.parametrize("plan", PLANS)
def test_learning_rate_schedulers(plan: str, native: bool, mode: Any) -> None:
    """The scheduler may come before or after; torch's own weight decay is the reference."""
    kind: Any = torch.optim.AdamW if mode == "decoupled" else torch.optim.Adam
    for scheduler_first in (True, False):
        model, twin = network(), network()
        split = [
            {"params": weights(twin), "weight_decay": 0.2},
            {"params": biases(twin), "weight_decay": 0.0},
        ]
        other = kind(split, lr=0.01)
        groups = [{"params": weights(model)}, {"params": biases(model)}] if native else model.parameters()
        optimizer = kind(groups, lr=0.01, weight_decay=0.0)
        plans = [PLANS[plan](optimizer)] if scheduler_first else []
        ridgeline.regularize(model, L2(0.2), optimizer=optimizer, mode=mode)
        plans += [] if scheduler_first else [PLANS[plan](optimizer)]
        plans.append(PLANS[plan](other))
        for k in range(6):
            for net, built in ((model, optimizer), (twin, other)):
                built.zero_grad()
                data_loss(net, k).backward()
                built.step()
            for p in plans:
                p.step()
        assert close(model.parameters(), twin.parameters(), rtol=1e-9, atol=1e-12)


def test_a_group_added_later_goes_unpenalised_until_bind() -> None:
    model, more = network(), torch.nn.Linear(3, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="coupled")
    optimizer.add_param_group({"params": more.parameters(), "lr": 0.05})
    before = state(more)
    more(torch.ones(1, 3, dtype=torch.float64)).sum().mul(0).backward()
    steps(model, optimizer, 1)
    assert equal(more.parameters(), before)
    whole = torch.nn.Sequential(model, more)
    reg.bind(whole, optimizer)
    expected = plain(L1(0.1), [*weights(model), more.weight])
    assert torch.allclose(reg.penalty(), expected)
    more.zero_grad()
    more(torch.ones(1, 3, dtype=torch.float64)).sum().mul(0).backward()
    optimizer.step()
    assert torch.allclose(more.weight, before[0] - 0.005 * before[0].sign())
