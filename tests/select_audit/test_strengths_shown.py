"""The audit's strengths: of every kind, and the effective one under momentum; terms and log."""

from typing import Any

import pytest
import torch
from torch import nn

from ridgeline import L1, L2, GroupLasso, MaxNorm, Rule, regularize, schedules
from ridgeline.penalties import Penalty
from ridgeline.select import Mode, default_selection


def net() -> Any:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("penalty", "strength", "name"),
    [
        (L2(torch.tensor(0.25)), 0.25, "L2"),
        (L1(0.5) + L2(0.25), "0.5 + 0.25", "L1 + L2"),
        (L2(schedules.warmup(1e-3, 500)), "warmup(0.001, 500)", "L2"),
        (L1(0.5) + L2(schedules.linear(0.0, 1.0, 4)), "0.5 + linear(0 → 1, 4)", "L1 + L2"),
        (GroupLasso(0.125, dim=1), 0.125, "GroupLasso"),
    ],
    ids=["0-d", "sum", "schedule", "sum with a schedule", "group"],
)
def test_strengths_of_every_kind_are_shown(penalty: Penalty, strength: object, name: str) -> None:
    row = regularize(net(), penalty).audit().rows[0]
    assert (row["strength"], row["penalty"]) == (strength, name)
    text = str(strength)
    assert text in str(regularize(net(), penalty).audit())


def test_strengths_of_lanes_are_shown_as_a_list() -> None:
    model = nn.Linear(3, 4)
    model.weight = nn.Parameter(torch.ones(2, 4, 3))  # two lanes of a layer
    reg = regularize(model, L2(torch.tensor([0.5, 0.25])))
    assert reg.audit().rows[0]["strength"] == [0.5, 0.25]
    assert "[0.5, 0.25]" in str(reg.audit())
    assert reg.penalty().tolist() == [3.0, 1.5]


def test_a_limit_is_shown_in_the_place_of_a_strength() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    row = regularize(model, MaxNorm(2.0), optimizer=optimizer).audit().rows[0]
    assert (row["penalty"], row["strength"], row["penalised"]) == ("MaxNorm", 2.0, True)


def test_a_strength_of_0_is_legal_and_not_called_penalised() -> None:
    audit = regularize(net(), L2(0.0)).audit()
    assert audit.penalised_elements == 0
    assert audit.rows[0]["strength"] == 0.0


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("decoupled", {}, None),
        ("decoupled", {"momentum": 0.9}, 0.01),
        ("decoupled", {"momentum": 0.9, "dampening": 0.5}, 0.02),
        ("independent", {}, 1.0),
        ("independent", {"momentum": 0.9}, 0.1),
        ("coupled", {"momentum": 0.9}, None),
        ("proximal", {"momentum": 0.9}, None),
    ],
)
def test_the_effective_strength_under_momentum(mode: Mode, options: dict[str, float], expected: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **options)  # type: ignore[arg-type]
    reg = regularize(model, L2(0.1), optimizer=optimizer, mode=mode)
    for lr in (0.1, 0.05, 0.0):  # changed by hand: η₀ stays that of the start
        optimizer.param_groups[0]["lr"] = lr
        found = reg.audit().rows[0]["effective_strength"]
        assert found == (None if expected is None else pytest.approx(expected))
        assert reg.audit().rows[1]["effective_strength"] is None
    assert ("(acts as " in str(reg.audit())) == (expected is not None)


def test_the_effective_strength_is_that_of_the_fixed_point() -> None:
    """Minimum of ½(w − 1)² + ½λ(1 − μ)w², reached by decoupled L2 under momentum."""
    model = nn.Linear(1, 1, bias=False).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    reg = regularize(model, L2(0.4), optimizer=optimizer, mode="decoupled")
    for _ in range(3000):
        optimizer.zero_grad()
        (0.5 * (model.weight - 1).square().sum()).backward()
        optimizer.step()
    acts = reg.audit().rows[0]["effective_strength"]
    assert model.weight.item() == pytest.approx(1 / (1 + acts), rel=5e-3)


def test_terms_and_log() -> None:
    model = net()
    with torch.no_grad():
        model[0].weight.zero_()
    rules = [Rule("0.weight", L1(0.5)), Rule(default_selection, L2(0.5))]
    reg = regularize(model, rules)
    terms = reg.terms()
    assert list(terms) == ["0.weight", "2.weight"]
    assert all(value.shape == () and not value.requires_grad for value in terms.values())
    torch.testing.assert_close(sum(terms.values()), reg.penalty().detach())
    log = reg.log()
    assert all(type(value) is float for value in log.values())
    assert set(log) == {
        *("ridgeline/penalty", "ridgeline/exact_zeros"),
        *("ridgeline/penalty/0.weight", "ridgeline/penalty/2.weight"),
    }
    assert log["ridgeline/penalty"] == pytest.approx(reg.penalty().item())
    assert log["ridgeline/exact_zeros"] == pytest.approx(12 / 20)
    assert set(reg.log(prefix="l2_")) == {key.replace("ridgeline/", "l2_") for key in log}
