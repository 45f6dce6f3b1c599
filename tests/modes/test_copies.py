"""Copies and rebuilds: what loses the hooks says so, and `reg.bind` attaches anew."""

import copy
from typing import Any

import pytest
import torch

import ridgeline
from ridgeline.penalties import L1, L2, L2SP, Penalty
from tests.modes.worlds import biases, close, equal, network, steps, weights

HOOK, NATIVE = L1(0.02), L2(0.2)


def trained(penalty: Penalty, mode: Any) -> tuple[Any, Any, Any]:
    """A model in two groups after three steps."""
    model = network()
    groups = [{"params": weights(model)}, {"params": biases(model)}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
    steps(model, optimizer, 3, reg.penalty if mode == "loss" else lambda: 0.0)
    return model, optimizer, reg


@pytest.mark.parametrize("penalty", [HOOK, NATIVE, L2SP(0.2)], ids=["hook", "native", "L2SP"])
@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled", "proximal"])
def test_a_deep_copy_of_all_must_be_bound(mode: Any, penalty: Penalty) -> None:
    model, optimizer, reg = trained(penalty, mode)
    twin, other, own = copy.deepcopy((model, optimizer, reg))
    for call in (own.penalty, own.terms, own.audit):
        with pytest.raises(RuntimeError, match=r"no longer attached.* call reg.bind\(model, optimizer\)"):
            call()
    assert own.bind(twin, other) is own
    more = [r.penalty if mode == "loss" else (lambda: 0.0) for r in (reg, own)]
    steps(model, optimizer, 3, more[0])
    steps(twin, other, 3, more[1])
    assert equal(model.parameters(), twin.parameters())
    assert torch.equal(reg.penalty(), own.penalty())
    reg.remove()
    before = own.penalty().detach()
    steps(twin, other, 1, more[1])
    assert not torch.equal(own.penalty(), before)


@pytest.mark.parametrize("penalty", [HOOK, NATIVE], ids=["hook", "native"])
def test_a_deep_copy_without_the_regularizer_is_bound_to_it(penalty: Penalty) -> None:
    model, optimizer, reg = trained(penalty, "coupled")
    twin, other = copy.deepcopy((model, optimizer))
    reg.bind(twin, other)
    control, plain_optimizer, _ = trained(penalty, "coupled")
    steps(twin, other, 3)
    steps(control, plain_optimizer, 3)
    assert equal(twin.parameters(), control.parameters())
    assert all(not g["weight_decay"] for g in optimizer.param_groups)  # the old one is released


def test_hooks_that_were_taken_away_are_missed() -> None:
    model, optimizer, reg = trained(HOOK, "coupled")
    optimizer._optimizer_step_pre_hooks.clear()
    for call in (reg.penalty, reg.terms, reg.audit):
        with pytest.raises(RuntimeError, match="no longer attached"):
            call()
    reg.bind(model, optimizer)
    assert float(reg.penalty().detach()) > 0


@pytest.mark.parametrize("penalty", [HOOK, NATIVE], ids=["hook", "native"])
@pytest.mark.parametrize("decay_in_state", [0.0, 0.2, 0.7])
def test_loading_an_optimizers_state_keeps_the_penalty(decay_in_state: float, penalty: Penalty) -> None:
    model, optimizer, reg = trained(penalty, "coupled")
    kept = copy.deepcopy(optimizer.state_dict())
    kept["param_groups"][0]["weight_decay"] = decay_in_state
    if decay_in_state:
        with pytest.warns(UserWarning, match=rf"weight_decay={decay_in_state}\); it was set to 0"):
            optimizer.load_state_dict(kept)
    else:
        optimizer.load_state_dict(kept)
    assert optimizer.param_groups[0]["weight_decay"] == 0.0
    control, other, _ = trained(penalty, "coupled")
    steps(model, optimizer, 3)
    steps(control, other, 3)
    assert equal(model.parameters(), control.parameters())
    reg.remove()
    assert all(not g["weight_decay"] for g in optimizer.param_groups)


@pytest.mark.parametrize("penalty", [HOOK, NATIVE, L2SP(0.2)], ids=["hook", "native", "L2SP"])
@pytest.mark.parametrize("mode", ["loss", "coupled", "proximal"])
def test_bind_after_everything_is_built_anew(mode: Any, penalty: Penalty) -> None:
    """As estimators do in fit(): the same factory again; L2SP keeps the weights first attached."""
    model, _, reg = trained(penalty, mode)
    again = network(seed=7)
    groups = [{"params": weights(again)}, {"params": biases(again)}]
    optimizer = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    reg.bind(again, optimizer)
    before = [w.detach().clone() for w in weights(model)]
    steps(again, optimizer, 3, reg.penalty if mode == "loss" else lambda: 0.0)
    assert equal(weights(model), before)
    twin = network(seed=7)
    groups = [{"params": weights(twin)}, {"params": biases(twin)}]
    other = torch.optim.SGD(groups, lr=0.05, momentum=0.9)
    own = ridgeline.regularize(twin, penalty, optimizer=other, mode=mode)
    if isinstance(penalty, L2SP):
        own.load_state_dict(reg.state_dict())
    steps(twin, other, 3, own.penalty if mode == "loss" else lambda: 0.0)
    assert close(again.parameters(), twin.parameters(), rtol=1e-12)


def test_bind_twice_is_bind_once() -> None:
    for penalty in (HOOK, NATIVE):
        model, optimizer, reg = trained(penalty, "coupled")
        reg.bind(model, optimizer).bind(model, optimizer)
        control, other, _ = trained(penalty, "coupled")
        steps(model, optimizer, 3)
        steps(control, other, 3)
        assert equal(model.parameters(), control.parameters())


def test_a_failed_bind_leaves_the_old_one() -> None:
    model, optimizer, reg = trained(HOOK, "coupled")
    with pytest.raises(ValueError, match="does not hold"):
        reg.bind(network(seed=3), optimizer)
    assert float(reg.penalty().detach()) > 0
    control, other, _ = trained(HOOK, "coupled")
    steps(model, optimizer, 3)
    steps(control, other, 3)
    assert equal(model.parameters(), control.parameters())
