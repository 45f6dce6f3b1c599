"""GradScaler in all eight combinations {fused} × {unscaled first} × {overflow}, for every mode."""

from typing import Any

import pytest
import torch
from torch.amp import GradScaler

import ridgeline
from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, Penalty
from ridgeline.schedules import linear
from ridgeline.select import MODES
from tests.modes.worlds import close, data_loss, equal, network, state

BUILD: dict[str, Any] = {
    "SGD": lambda p, fused: torch.optim.SGD(p, lr=0.1, momentum=0.9, fused=fused),
    "Adam": lambda p, fused: torch.optim.Adam(p, lr=0.01, fused=fused),
}
PENALTIES: dict[str, Penalty] = {
    "L2": L2(0.3),
    "L1": L1(0.3),
    "ElasticNet": ElasticNet(0.3, 0.4),
    "GroupLasso": GroupLasso(0.2),
    "scheduled": L1(linear(0.1, 0.5, 3)),
}
OVERFLOW = 2  # the step that overflows, where one does


def step(model: Any, optimizer: Any, reg: Any, k: int, scaler: GradScaler | None, unscale: bool) -> None:
    """One step; the reference has no scaler and no overflowed step."""
    optimizer.zero_grad()
    loss = data_loss(model, k, torch.float32)
    loss = loss + reg.penalty() if reg._mode == "loss" else loss
    if scaler is None:
        loss.backward()
        optimizer.step()
        return
    scaler.scale(loss).backward()
    if k == OVERFLOW:
        next(model.parameters()).grad[0, 0] = float("inf")
    if unscale:
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()


@pytest.mark.parametrize("overflow", [False, True], ids=["finite", "overflow"])
@pytest.mark.parametrize("unscale", [False, True], ids=["scaled", "unscaled"])
@pytest.mark.parametrize("fused", [False, True], ids=["plain", "fused"])
@pytest.mark.parametrize("mode", MODES)
def test_a_scaled_run_is_the_unscaled_one(mode: Any, fused: bool, unscale: bool, overflow: bool) -> None:
    for name, build in BUILD.items():
        for label, penalty in PENALTIES.items():
            model, twin = network(dtype=torch.float32), network(dtype=torch.float32)
            optimizer, other = build(model.parameters(), fused), build(twin.parameters(), fused)
            reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
            own = ridgeline.regularize(twin, penalty, optimizer=other, mode=mode)
            scaler = GradScaler(device="cpu", init_scale=1024.0, growth_interval=2)
            for k in range(5) if overflow else (0, 1, 3, 4):
                before = state(model)
                step(model, optimizer, reg, k, scaler, unscale)
                if k == OVERFLOW:
                    assert equal(model.parameters(), before), (name, label)
                else:
                    step(twin, other, own, k, None, False)
            assert close(model.parameters(), twin.parameters(), rtol=2e-5, atol=2e-6), (name, label)


@pytest.mark.parametrize("mode", ["coupled", "decoupled", "independent", "proximal"])
def test_a_first_step_that_overflows_changes_nothing(mode: Any) -> None:
    for penalty in (L1(0.3), GroupLasso(0.3), L2(0.3) + MaxNorm(0.1)):
        model = network(dtype=torch.float32)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
        before = state(model)
        scaler = GradScaler(device="cpu", init_scale=1024.0)
        scaler.scale(data_loss(model, 0, torch.float32) * float("inf")).backward()
        scaler.step(optimizer)
        assert equal(model.parameters(), before)
        assert reg.state_dict()["clock"] >= 0


def test_an_overflowed_step_does_not_turn_the_clock() -> None:
    for fused in (False, True):
        model = network(dtype=torch.float32)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
        reg = ridgeline.regularize(model, PENALTIES["scheduled"], optimizer=optimizer, mode="coupled")
        scaler = GradScaler(device="cpu", init_scale=1024.0)
        for k in range(4):
            step(model, optimizer, reg, k, scaler, False)
        assert reg.state_dict()["clock"] == 3
