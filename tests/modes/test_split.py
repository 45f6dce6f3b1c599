"""L2 inside the optimizer's kernel: the groups are the person's own before, after, and after a failure."""

from typing import Any

import pytest
import torch
from torch import nn

import ridgeline
from ridgeline import L1, L2, ElasticNet, schedules
from ridgeline.select import Mode


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).double()


X = torch.randn(16, 6, generator=torch.Generator().manual_seed(1)).double()


def backward(model: nn.Module) -> torch.Tensor:
    loss: torch.Tensor = model(X).square().sum()
    loss.backward()
    return loss


def trained(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 8) -> list[torch.Tensor]:
    for _ in range(steps):
        optimizer.zero_grad()
        backward(model)
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("kind", "mode"), [("Adam", "coupled"), ("AdamW", "decoupled")])
def test_it_is_the_optimizers_own_decay_bit_for_bit(kind: str, mode: Mode, fused: bool) -> None:
    optimizer_type: Any = getattr(torch.optim, kind)
    ours, theirs = network(), network()
    optimizer = optimizer_type(ours.parameters(), lr=0.01, weight_decay=0.0, fused=fused)
    ridgeline.regularize(ours, L2(0.3), optimizer=optimizer, mode=mode)
    groups = ridgeline.param_groups(theirs, L2(0.3))
    expected = trained(theirs, optimizer_type(groups, lr=0.01, fused=fused))
    assert all(torch.equal(a, b) for a, b in zip(trained(ours, optimizer), expected, strict=True))


def test_the_other_kind_of_decay_works_too() -> None:
    """Coupled under AdamW is Adam's; decoupled under Adam is AdamW's."""
    for kind, mode, reference in (("AdamW", "coupled", "Adam"), ("Adam", "decoupled", "AdamW")):
        ours, theirs = network(), network()
        optimizer_type: Any = getattr(torch.optim, kind)
        optimizer = optimizer_type(ours.parameters(), lr=0.01, weight_decay=0.0)
        ridgeline.regularize(ours, L2(0.3), optimizer=optimizer, mode=mode)  # type: ignore[arg-type]  # a Mode
        groups = ridgeline.param_groups(theirs, L2(0.3))
        expected = trained(theirs, getattr(torch.optim, reference)(groups, lr=0.01))
        assert all(torch.equal(a, b) for a, b in zip(trained(ours, optimizer), expected, strict=True))


def test_an_elastic_nets_l2_part_goes_inside_and_its_l1_part_stays() -> None:
    """The hook path, seen by a penalty object of another type, is the oracle."""
    ours, theirs = network(), network()
    fast = torch.optim.Adam(ours.parameters(), lr=0.01)
    slow = torch.optim.Adam(theirs.parameters(), lr=0.01)
    ridgeline.regularize(ours, ElasticNet(0.2, 0.25), optimizer=fast, mode="coupled")
    ridgeline.regularize(theirs, L1(0.05) + L2(0.15), optimizer=slow, mode="coupled")
    for a, b in zip(trained(ours, fast), trained(theirs, slow), strict=True):
        if (
            a.ndim == 2
        ):  # Adam blows up the rounding in the bias before the normalization, whose gradient is 0
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_groups_are_whole_outside_the_step_and_schedulers_keep_their_hold() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    groups = optimizer.param_groups
    before = {k: v for k, v in groups[0].items() if k != "params"}
    ridgeline.regularize(model, L2(schedules.warmup(0.1, 4)), optimizer=optimizer, mode="coupled")
    plan = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for k in range(3):
        trained(model, optimizer, steps=1)
        assert optimizer.param_groups is groups
        assert len(groups) == 1
        assert groups[0]["weight_decay"] == before["weight_decay"] == 0
        plan.step()
        assert groups[0]["lr"] == pytest.approx(0.01 * 0.5 ** (k + 1))
    assert set(optimizer.state_dict()["param_groups"][0]) == {*before, "params", "initial_lr"}


def test_a_step_that_raises_leaves_no_trace_in_the_state_or_the_next_step() -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="decoupled")

    def broken() -> float:
        raise OSError("the loader died")

    with pytest.raises(OSError, match="loader"):
        optimizer.step(broken)
    assert len(optimizer.state_dict()["param_groups"]) == 1
    trained(model, optimizer, steps=1)
    assert len(optimizer.param_groups) == 1


def test_reading_the_penalty_inside_a_closure_does_not_switch_it_off() -> None:
    ours, theirs = network(), network()
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.01)
    reg = ridgeline.regularize(ours, L2(0.3), optimizer=optimizer, mode="decoupled")

    def closure() -> float:
        optimizer.zero_grad()
        reg.penalty()
        return float(backward(ours).detach())

    for _ in range(3):
        optimizer.step(closure)
    expected = trained(theirs, torch.optim.AdamW(ridgeline.param_groups(theirs, L2(0.3)), lr=0.01), steps=3)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), expected, strict=True))
