"""Traps of binding: models and optimizers that are rebuilt, copied and restored. One test a trap."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ridgeline import L1, L2, L2SP, Regularizer, assert_acting, regularize, schedules
from ridgeline.select import Mode
from tests.traps.models import distance, mlp, train, weights

MODES: tuple[Mode, ...] = ("loss", "coupled", "decoupled", "independent", "proximal")


def attached(mode: Mode, penalty: Any = L1(0.3)) -> tuple[Any, Optimizer, Regularizer]:  # noqa: B008  # immutable
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    return model, optimizer, regularize(model, penalty, optimizer=optimizer, mode=mode)


@pytest.mark.parametrize("mode", MODES)
def test_skorch_81_weights_drawn_anew_in_place_stay_penalised(mode: Mode) -> None:
    """skorch#81: grid search initialises the module again; in place, nothing is lost."""
    model, optimizer, reg = attached(mode)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5)
    assert reg.penalty().item() == pytest.approx(0.3 * 0.5 * 40)
    train(model, optimizer, reg, steps=1)
    assert reg.penalty().item() < 0.3 * 0.5 * 40


@pytest.mark.parametrize("mode", MODES)
def test_skorch_81_a_module_that_was_built_anew_is_bound_by_name(mode: Mode) -> None:
    """skorch#81: bind lazily, by name: after bind the new model trains as if regularized at first."""
    _, _, reg = attached(mode)
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.05, momentum=0.9)
    reg.bind(model, optimizer)
    fresh_model, fresh_optimizer, fresh = attached(mode)
    assert distance(train(model, optimizer, reg), train(fresh_model, fresh_optimizer, fresh)) == 0


def test_skorch_81_a_layer_that_was_exchanged_is_said() -> None:
    """skorch#81: the penalty of a layer that the model no longer has would train nothing."""
    model, _, reg = attached("loss")
    model[0] = nn.Linear(4, 8).double()
    with pytest.raises(RuntimeError, match=r"0\.weight of the model was exchanged .* reg\.bind\(model"):
        reg.audit()
    reg.bind(model)
    assert_acting(reg.penalty, model)
    assert reg.audit().rows[0]["penalised"]


@pytest.mark.parametrize("mode", MODES[1:])
def test_deepcopy_a_copied_optimizer_has_lost_the_hooks(mode: Mode) -> None:
    """torch: copy.deepcopy(optimizer) drops step hooks; a copy must be bound, and says so."""
    model, optimizer, reg = attached(mode)
    pair = copy.deepcopy((model, optimizer, reg))
    for read in (pair[2].penalty, pair[2].audit, pair[2].terms, pair[2].log):
        with pytest.raises(RuntimeError, match=r"no longer attached .*; call reg\.bind\(model, optimizer\)"):
            read()
    pair[2].bind(pair[0], pair[1])
    assert distance(train(pair[0], pair[1], pair[2]), train(model, optimizer, reg)) == 0


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_deepcopy_the_decay_is_neither_lost_nor_doubled(make: Any) -> None:
    """L2 acts inside the optimizer's kernel for the length of a step, and a copy's groups know nothing of it."""
    model = nn.Linear(4, 1, bias=False).double()
    optimizer = make(model.parameters(), lr=0.05, weight_decay=0.0)
    mode: Mode = "decoupled" if make is AdamW else "coupled"
    reg = regularize(model, L2(0.3), optimizer=optimizer, mode=mode)
    twin = copy.deepcopy((model, optimizer, reg))
    twin[2].bind(twin[0], twin[1])
    reg.bind(model, optimizer)  # the same pair again
    assert distance(train(twin[0], twin[1], twin[2]), train(model, optimizer, reg)) == 0
    for used in (optimizer, twin[1]):
        assert used.param_groups[0]["weight_decay"] == 0.0


def test_deepcopy_the_decay_of_others_is_still_refused_when_bound() -> None:
    """An optimizer that decays by itself on top of a penalty is refused, as by regularize()."""
    model, _, reg = attached("coupled", L2(0.3))
    with pytest.raises(ValueError, match=r"by itself \(weight_decay=0\.3\)"):
        reg.bind(model, SGD(model.parameters(), lr=0.05, weight_decay=0.3))


def test_deepcopy_a_copied_model_trained_with_the_others_penalty() -> None:
    """A copy of the model has its own weights: the first one's penalty does not reach them."""
    model, _, reg = attached("loss")
    twin = copy.deepcopy(model)
    with pytest.raises(AssertionError, match="none of the model's 6 parameters"):
        assert_acting(reg.penalty(), twin)
    reg.bind(twin)
    assert_acting(reg.penalty(), twin)


def test_the_refused_binding_leaves_the_old_one_in_force() -> None:
    """A failed bind must not leave a half-attached penalty behind."""
    model, optimizer, reg = attached("decoupled")
    with pytest.raises(ValueError, match="does not hold"):
        reg.bind(mlp(), optimizer)
    before = weights(model)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    assert distance(before, weights(model)) == pytest.approx(0.05 * 0.3)


@pytest.mark.parametrize("mode", MODES)
def test_state_dict_resumed_is_uninterrupted(mode: Mode) -> None:
    """Binding survives state_dict: clock, references, optimizer and model restored, then trained on."""
    penalty = L1(schedules.linear(0.0, 0.5, 10)) + L2SP(0.2)
    model, optimizer, reg = attached(mode, penalty)
    train(model, optimizer, reg, steps=3)
    saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), reg.state_dict()))
    whole = train(model, optimizer, reg, steps=3)
    model, optimizer, reg = attached(mode, penalty)
    model.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    reg.load_state_dict(saved[2])
    assert distance(whole, train(model, optimizer, reg, steps=3)) == 0


def test_state_dict_without_the_decay_does_not_switch_ours_off() -> None:
    """torch: load_state_dict overwrites weight_decay; a checkpoint of a plain run must not end ours."""
    model = nn.Linear(4, 1, bias=False).double()
    optimizer = AdamW(model.parameters(), lr=0.05, weight_decay=0.0)
    plain = copy.deepcopy(optimizer.state_dict())
    twin, other = copy.deepcopy((model, optimizer))
    reg = regularize(model, L2(0.3), optimizer=optimizer, mode="decoupled")
    optimizer.load_state_dict(plain)
    own = regularize(twin, L2(0.3), optimizer=other, mode="decoupled")
    assert distance(train(model, optimizer, reg), train(twin, other, own)) == 0


def test_the_model_itself_is_left_as_it_was() -> None:
    """Regularizing adds nothing to the model: its state, its modules and its pickles stay the same."""
    model = mlp()
    keys, hooks = list(model.state_dict()), [len(m._forward_hooks) for m in model.modules()]
    reg = regularize(model, L2(0.1), optimizer=SGD(model.parameters(), lr=0.1), mode="decoupled")
    assert list(model.state_dict()) == keys
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    reg.remove()
    assert list(copy.deepcopy(model).state_dict()) == keys
