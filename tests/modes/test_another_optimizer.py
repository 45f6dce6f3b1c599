"""An optimizer built anew without `bind` would drop the penalty: the first step says so, once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import ridgeline
from ridgeline import L1, L2, MaxNorm
from ridgeline.penalties import Penalty
from ridgeline.select import Mode


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()


CASES: list[tuple[Penalty, Mode]] = [
    (L2(0.1), "coupled"),
    (L2(0.1), "decoupled"),
    (L1(0.1), "proximal"),
    (MaxNorm(1.0), "loss"),
]


@pytest.mark.parametrize(("penalty", "mode"), CASES)
def test_a_new_optimizer_is_noticed_once(penalty: Penalty, mode: Mode) -> None:
    model = nn.Linear(3, 2)
    first = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, penalty, optimizer=first, mode=mode)
    stepped(model, first)
    second = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match=r"reg\.bind"):
        stepped(model, second)
    stepped(model, second)
    reg.bind(model, second)
    stepped(model, second)


def test_strangers_and_removed_regularizers_are_silent() -> None:
    model, other = nn.Linear(3, 2), nn.Linear(3, 2)
    first = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L1(0.1), optimizer=first, mode="coupled")
    stepped(other, torch.optim.SGD(other.parameters(), lr=0.1))
    reg.remove()
    stepped(model, torch.optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize(
    "pair", [ridgeline.GroupLasso(0.1) + MaxNorm(1.0, dim=1), ridgeline.Norm(0.1) + MaxNorm(1.0)]
)
def test_groups_and_constraint_along_different_dims_have_no_exact_prox(pair: Penalty) -> None:
    assert not pair.has_prox
    with pytest.raises(TypeError, match="same dim"):
        pair.prox(torch.ones(2, 3), 1.0)


class Wrapper(torch.optim.Optimizer):
    """As distributed trainers wrap: an Optimizer by type, whose constructor never ran."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer


@pytest.mark.parametrize(
    ("made", "said"),
    [(Wrapper, "pass the one inside it, its .optimizer"), (lambda _: object(), "pass a torch.optim one")],
)
def test_what_has_no_hooks_is_refused(made: Callable[[torch.optim.Optimizer], Any], said: str) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = made(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(ValueError, match=f"has no hooks around its step, where penalties act; {said}"):
        ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="coupled")


def test_after_removal_the_audit_says_so() -> None:
    model = torch.nn.Linear(3, 2)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    reg.remove()
    row = next(r for r in reg.audit().rows if r["name"] == "weight")
    assert not row["penalised"]
    assert row["reason"] == "the regularizer was removed"
