"""Modes "decoupled" and "independent": AdamW exactly, and rates that follow a schedule."""

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

import ridgeline
from ridgeline.penalties import L1, L2
from ridgeline.select import MODES, Mode
from tests.modes.worlds import biases, close, data_loss, equal, network, state, steps, weights

KINDS: dict[str, dict[str, Any]] = {
    "for-loop": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "amsgrad": {"amsgrad": True},
    "maximize": {"maximize": True},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("base", [torch.optim.Adam, torch.optim.AdamW])
@pytest.mark.parametrize("one_group", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_l2_is_adamw_bit_for_bit(kind: str, one_group: bool, base: Any, dtype: torch.dtype) -> None:
    """For Adam as well, and for a group with biases in it."""
    model, twin = network(dtype=dtype), network(dtype=dtype)
    split = [{"params": weights(twin), "weight_decay": 0.1}, {"params": biases(twin), "weight_decay": 0.0}]
    other = torch.optim.AdamW(split, lr=0.01, **KINDS[kind])
    groups = model.parameters() if one_group else [{"params": weights(model)}, {"params": biases(model)}]
    optimizer = base(groups, lr=0.01, weight_decay=0.0, **KINDS[kind])
    ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="decoupled")
    steps(model, optimizer, 8)
    steps(twin, other, 8)
    assert equal(model.parameters(), twin.parameters())


def test_it_is_not_coupled_for_adam_and_is_for_plain_sgd() -> None:
    for build, same in (
        (lambda p: torch.optim.Adam(p, lr=0.01), False),
        (lambda p: torch.optim.SGD(p, lr=0.1), True),
        (lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), False),
    ):
        found = []
        modes: tuple[Mode, ...] = ("coupled", "decoupled")
        for mode in modes:
            model = network()
            optimizer = build(model.parameters())
            ridgeline.regularize(model, L2(0.2), optimizer=optimizer, mode=mode)
            steps(model, optimizer, 4)
            found.append(state(model))
        assert close(found[0], found[1], rtol=1e-10) == same


def test_l1_moves_each_weight_by_the_rate_towards_zero() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ridgeline.regularize(model, L1(0.5), optimizer=optimizer, mode="decoupled")
    before = state(model)
    (data_loss(model) * 0).backward()
    optimizer.step()
    for w, old in zip(weights(model), before[::2], strict=True):
        assert torch.allclose(w, old - 0.05 * old.sign(), rtol=1e-14)


@pytest.mark.parametrize("first", [0.1, 0.003])
def test_independent_follows_the_schedule_and_not_the_rate(first: float) -> None:
    """Two learning rates: the same decay a step, λ at first, λ/2 after the schedule halves the rate."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=first)
    ridgeline.regularize(model, L2(0.01), optimizer=optimizer, mode="independent")
    plan = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    for factor in (1.0, 0.5, 0.25):
        before = weights(model)[0].detach().clone()
        (data_loss(model) * 0).backward()
        optimizer.step()
        plan.step()
        assert torch.allclose(weights(model)[0], before * (1 - 0.01 * factor), rtol=1e-13)


@pytest.mark.parametrize("scheduler_first", [True, False])
def test_independent_takes_initial_lr_or_the_rate_when_attached(scheduler_first: bool) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    if scheduler_first:  # a warm-up: the rate is 0.02 by now, initial_lr 0.2
        lr_scheduler.LinearLR(optimizer, start_factor=0.1)
    ridgeline.regularize(model, L2(0.5), optimizer=optimizer, mode="independent")
    before = weights(model)[0].detach().clone()
    optimizer.param_groups[0]["lr"] = 0.02
    (data_loss(model) * 0).backward()
    optimizer.step()
    assert torch.allclose(weights(model)[0], before * (1 - 0.5 * 0.1), rtol=1e-13)


def test_independent_refuses_a_first_rate_of_zero() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with pytest.raises(ValueError, match="divides by the first learning rate, which is 0"):
        ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="independent")


@pytest.mark.parametrize("mode", ["decoupled", "independent"])
def test_momentum_makes_it_weaker_and_the_audit_prints_by_how_much(mode: Any) -> None:
    """The fixed point on a quadratic is that of λ(1 − μ), for `independent` of λ/η₀ · (1 − μ)."""
    strength, rate, momentum = 0.01, 0.05, 0.8
    acts = strength * (1 - momentum) / (rate if mode == "independent" else 1.0)
    w = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
    optimizer = torch.optim.SGD(w.parameters(), lr=rate, momentum=momentum)
    reg = ridgeline.regularize(w, L2(strength), optimizer=optimizer, mode=mode)
    for _ in range(3000):
        optimizer.zero_grad()
        (0.5 * (w.weight - 1.0).square()).sum().backward()
        optimizer.step()
    assert float(w.weight.detach()) == pytest.approx(1 / (1 + acts), rel=1e-9)
    row = reg.audit().rows[0]
    assert (row["strength"], row["effective_strength"]) == (strength, pytest.approx(acts))
    assert f"acts as {acts:.4g}" in str(reg.audit())


def test_every_mode_but_loss_needs_an_optimizer() -> None:
    for mode in MODES[1:]:
        with pytest.raises(ValueError, match=f"mode '{mode}' acts in optimizer.step"):
            ridgeline.regularize(network(), L2(0.1), mode=mode)


def test_the_optimizers_own_decay_on_top_is_refused() -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    for mode in MODES:
        with pytest.raises(ValueError, match=r"decays 0.weight by itself \(weight_decay=0.01\)"):
            ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode=mode)
