"""Penalties as objects: units, immutability, and what is refused as a strength."""

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch

from ridgeline.penalties import L1, L2, Penalty
from tests.laws._table import PENALTIES

W = torch.tensor([[5.0, -2.0], [-3.0, 1.0]])


def test_units() -> None:
    assert float(L1(0.5).value(W)) == 5.5
    assert float(L2(0.5).value(W)) == 9.75
    assert float(L1(0.5, reduction="mean").value(W)) == 5.5 / 4
    assert float(L2(0.5, reduction="mean").value(W)) == 9.75 / 4


def test_l2_is_torchs_weight_decay() -> None:
    w = torch.nn.Parameter(W.clone())
    w.grad = torch.zeros_like(w)
    torch.optim.SGD([w], lr=0.1, weight_decay=0.5).step()
    assert torch.equal(w.detach(), W - 0.1 * L2(0.5).gradient(W))


@pytest.mark.parametrize("name", [n for n, m in PENALTIES.items() if m.separable])
def test_mean_divides_by_the_weights_of_one_lane(name: str) -> None:
    penalty = PENALTIES[name].make(torch.tensor([1.0, 1.0]))
    alone = PENALTIES[name].make(1.0)
    assert penalty.value(W).tolist() == [float(alone.value(row)) for row in W]


@pytest.mark.parametrize("kind", [L1, L2])
def test_with_strength_changes_nothing_else(kind: type[L1] | type[L2]) -> None:
    before = kind(0.5, reduction="mean")
    after = before.with_strength(2.0)
    assert (before, after) == (kind(0.5, reduction="mean"), kind(2.0, reduction="mean"))
    assert before != after
    with pytest.raises(ValueError, match="strength is -1"):
        before.with_strength(-1.0)


@pytest.mark.parametrize("kind", [L1, L2])
def test_penalties_are_immutable(kind: type[L1] | type[L2]) -> None:
    penalty = kind(0.5)
    with pytest.raises(FrozenInstanceError):
        penalty.strength = 1.0  # type: ignore[misc]
    assert hash(penalty) == hash(kind(0.5))
    assert isinstance(penalty, Penalty)
    assert penalty.has_prox


@pytest.mark.parametrize("kind", [L1, L2])
@pytest.mark.parametrize(
    ("strength", "error", "parts"),
    [
        (math.nan, ValueError, ["strength is nan", "finite number ≥ 0", "use 0 to switch"]),
        (-1e-9, ValueError, ["strength is -1e-09", "finite number ≥ 0", "use 0 to switch"]),
        (math.inf, ValueError, ["strength is inf", "finite number ≥ 0"]),
        (torch.tensor([0.1, -2.0]), ValueError, ["strength is -2.0", "finite number ≥ 0"]),
        (torch.tensor(math.nan), ValueError, ["strength is nan", "finite number ≥ 0"]),
        (torch.ones(2, 2), ValueError, ["shape (2, 2)", "a 0-d tensor", "shape (lanes,)"]),
        (torch.tensor(1), TypeError, ["dtype torch.int64", "floating", ".float()"]),
        (True, TypeError, ["strength is True, a bool", "a number ≥ 0"]),
        ("0.1", TypeError, ["strength is '0.1', a str", "a number ≥ 0"]),
        (None, TypeError, ["strength is None", "a number ≥ 0"]),
    ],
)
def test_a_wrong_strength_is_refused(
    kind: Any, strength: Any, error: type[Exception], parts: list[str]
) -> None:
    with pytest.raises(error) as caught:
        kind(strength)
    for part in [kind.__name__, *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize("kind", [L1, L2])
def test_a_wrong_reduction_and_a_wrong_number_of_lanes_are_refused(kind: Any) -> None:
    with pytest.raises(ValueError, match="reduction is 'max'; allowed: 'sum', 'mean'"):
        kind(0.1, reduction="max")
    for call in (kind(torch.ones(3)).value, kind(torch.ones(3)).gradient):
        with pytest.raises(ValueError, match=r"3 lanes, the parameter's shape is \(2, 2\); axis 0"):
            call(W)
