"""Parametrized weights: one row for the effective tensor, one for each leaf, and the penalty on either."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ridgeline import L1, L2, MaxNorm, RidgelineError, Rule, regularize
from ridgeline.select import Mode, default_selection


class Symmetric(nn.Module):
    """A person's own parametrization, without parameters."""

    def forward(self, w: Tensor) -> Tensor:
        return w.triu() + w.triu(1).T


class Scaled(nn.Module):
    """A person's own parametrization, with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, w: Tensor) -> Tensor:
        return w * self.scale


def own(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Symmetric())


def own_with_parameter(layer: nn.Module) -> nn.Module:
    return parametrize.register_parametrization(layer, "weight", Scaled())


def old(function: str) -> Callable[[nn.Module], nn.Module]:
    def make(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            made: nn.Module = getattr(nn.utils, function)(layer)
        return made

    return make


PREFIX = "0.parametrizations.weight."
KINDS: dict[str, tuple[Callable[[nn.Module], nn.Module], list[str]]] = {
    "own": (own, [f"{PREFIX}original"]),
    "own with a parameter": (own_with_parameter, [f"{PREFIX}original", f"{PREFIX}0.scale"]),
    "weight_norm": (parametrizations.weight_norm, [f"{PREFIX}original0", f"{PREFIX}original1"]),
    "spectral_norm": (parametrizations.spectral_norm, [f"{PREFIX}original"]),
    "orthogonal": (parametrizations.orthogonal, [f"{PREFIX}original"]),
    "old weight_norm": (old("weight_norm"), ["0.weight_g", "0.weight_v"]),
    "old spectral_norm": (old("spectral_norm"), ["0.weight_orig"]),
}


def net(kind: str) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(KINDS[kind][0](nn.Linear(4, 4)), nn.Linear(4, 2))


def effective(model: Any) -> Tensor:
    """The weight that the forward pass multiplies by, read off with unit vectors."""
    layer = model[0]
    layer.eval()
    rows: Tensor = (layer(torch.eye(4)) - layer.bias).T
    layer.train()
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_the_effective_weight_is_a_row_above_its_leaves(kind: str) -> None:
    model = net(kind)
    rows = regularize(model, L2(0.1)).audit().rows
    names = [row["name"] for row in rows]
    start = names.index("0.weight")
    leaves = KINDS[kind][1]
    assert set(names[start + 1 :]) >= set(leaves)
    row = rows[start]
    assert (row["penalised"], row["elements"], row["shape"]) == (True, 0, "4×4")
    assert row["reason"].startswith("weight of Linear; effective weight, computed from ")
    for leaf in leaves:
        found = rows[names.index(leaf)]
        assert (found["penalised"], found["reason"]) == (False, "leaf of the parametrized weight above")
    parameters = {name: p.numel() for name, p in model.named_parameters()}
    assert sum(row["elements"] for row in rows) == sum(parameters.values())
    assert set(names) == set(parameters) | {"0.weight"}


@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_are_those_of_the_effective_weight(kind: str) -> None:
    model = net(kind)
    reg = regularize(model, L2(0.3))
    model(torch.ones(1, 4)).sum().backward()  # power iterations advance here, and nowhere else
    model.zero_grad()
    value = reg.penalty()
    by_hand = 0.15 * (effective(model).square().sum() + model[1].weight.square().sum())
    torch.testing.assert_close(value, by_hand, rtol=1e-5, atol=1e-6)
    value.backward()
    parameters = list(model.parameters())
    expected = torch.autograd.grad(by_hand, parameters, allow_unused=True)
    for p, e in zip(parameters, expected, strict=True):
        got = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(got, torch.zeros_like(p) if e is None else e, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_coupled_is_the_gradient_of_loss_for_the_leaves(kind: str) -> None:
    steps: list[list[Tensor]] = []
    modes: tuple[Mode, ...] = ("loss", "coupled")
    for mode in modes:
        model = net(kind)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        reg = regularize(model, L1(0.05), optimizer=optimizer, mode=mode)
        for _ in range(3):
            optimizer.zero_grad()
            loss = model(torch.ones(2, 4)).square().sum()
            (loss + reg.penalty() if mode == "loss" else loss).backward()
            optimizer.step()
        steps.append([p.detach() for p in model.parameters()])
    for a, b in zip(*steps, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["decoupled", "independent", "proximal"])
@pytest.mark.parametrize("kind", KINDS)
def test_modes_that_move_leaves_refuse_the_effective_weight_and_name_its_leaves(kind: str, mode: Any) -> None:
    model = net(kind)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=f"0.weight is parametrized: .* mode '{mode}'") as caught:
        regularize(model, L2(0.1), optimizer=optimizer, mode=mode)
    pattern = str(caught.value).rpartition("(")[2].partition(")")[0].strip("'")  # the remedy, word for word
    rules = [Rule(pattern, L2(0.1)), Rule(default_selection, L2(0.1))]
    reg = regularize(model, rules, optimizer=optimizer, mode=mode)
    assert set(reg.terms()) == {*KINDS[kind][1], "1.weight"}
    whole = next(row for row in reg.audit().rows if row["name"] == "0.weight")
    assert whole["reason"] == f"its leaf is taken instead, by rule 1: {pattern}"


def test_a_constraint_on_an_effective_weight_is_refused() -> None:
    model = net("weight_norm")
    with pytest.raises(ValueError, match="is parametrized"):
        regularize(model, MaxNorm(1.0), optimizer=torch.optim.SGD(model.parameters(), lr=0.1))


def test_a_leaf_named_alone_gets_the_penalty_of_the_leaf() -> None:
    model = net("weight_norm")
    leaf = model[0].parametrizations.weight.original1
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = regularize(model, [Rule("*.original1", L2(2.0))], optimizer=optimizer, mode="decoupled")
    torch.testing.assert_close(reg.penalty(), leaf.square().sum())
    before = leaf.detach().clone()
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    torch.testing.assert_close(leaf.detach(), before * (1 - 0.2))


def test_an_exempt_effective_weight_is_not_penalised_through_its_leaves() -> None:
    reg = regularize(net("weight_norm"), [Rule("0.weight", None), Rule("*weight*", L2(0.1))])
    assert set(reg.terms()) == {"1.weight"}
    both = regularize(net("weight_norm"), [Rule("0.weight", None), Rule("*original0", L2(0.1))])
    assert set(both.terms()) == {"0.parametrizations.weight.original0"}


def test_a_rule_for_a_leaf_below_the_effective_weights_own_is_refused() -> None:
    with pytest.raises(
        RidgelineError, match=r"\*\.original0 matches no parameter that an earlier rule leaves"
    ):
        regularize(net("weight_norm"), [Rule("0.weight", L2(0.1)), Rule("*.original0", L2(0.1))])


@pytest.mark.parametrize("kind", ["spectral_norm", "old spectral_norm"])
def test_reading_the_penalty_advances_no_power_iteration(kind: str) -> None:
    model = net(kind)
    reg = regularize(model, L2(0.1))
    before = {name: b.clone() for name, b in model.named_buffers()}
    first = reg.penalty()
    reg.audit()
    reg.terms()
    assert torch.equal(first, reg.penalty())
    assert before
    for name, b in model.named_buffers():
        assert torch.equal(b, before[name])
    assert all(module.training for module in model.modules())


def test_a_frozen_leaf_leaves_the_effective_weight_penalised_through_the_other() -> None:
    model = net("weight_norm")
    model[0].parametrizations.weight.original1.requires_grad_(False)
    reg = regularize(model, L2(0.1))
    reg.penalty().backward()
    assert model[0].parametrizations.weight.original0.grad is not None
    assert model[0].parametrizations.weight.original1.grad is None
