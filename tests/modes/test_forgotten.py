"""A penalty in mode "loss" that is never added to the loss: the first step says so, once."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import optimizer as torch_optimizer

import ridgeline
from ridgeline.penalties import L2
from tests.modes.worlds import data_loss, network, steps, weights

FORGOTTEN = r"without a backward pass through reg.penalty\(\): add it to the loss"
bound = pytest.mark.parametrize("bound", [True, False], ids=["optimizer=", "global hook"])


def world(bound: bool) -> tuple[Any, Any, Any]:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, optimizer, ridgeline.regularize(model, L2(0.1), optimizer=optimizer if bound else None)


@bound
def test_it_raises_before_the_step_and_once(bound: bool) -> None:
    model, optimizer, reg = world(bound)
    before = weights(model)[0].detach().clone()
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        steps(model, optimizer, 1)
    assert torch.equal(weights(model)[0], before)
    steps(model, optimizer, 2)
    reg.remove()


@bound
def test_it_is_silent_where_the_penalty_is_used(bound: bool) -> None:
    model, optimizer, reg = world(bound)
    steps(model, optimizer, 3, reg.penalty)
    for _ in range(3):  # accumulation, the penalty in one of the batches
        data_loss(model).backward()
    reg.penalty().backward()
    optimizer.step()
    optimizer.zero_grad()
    for p, g in zip(
        model.parameters(),
        torch.autograd.grad(data_loss(model) + reg.penalty(), list(model.parameters())),
        strict=True,
    ):
        p.grad = g
    optimizer.step()


@bound
def test_reading_it_is_not_using_it(bound: bool) -> None:
    model, optimizer, reg = world(bound)
    float(reg.penalty().detach())
    with torch.no_grad():
        reg.penalty()
    reg.log()
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        steps(model, optimizer, 1)


@bound
def test_forgetting_it_later_raises(bound: bool) -> None:
    model, optimizer, reg = world(bound)
    steps(model, optimizer, 3, reg.penalty)
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        steps(model, optimizer, 1)


@bound
def test_evaluation_and_empty_steps_are_silent(bound: bool) -> None:
    model, optimizer, reg = world(bound)
    with torch.no_grad():
        data_loss(model)
    optimizer.zero_grad()
    optimizer.step()
    steps(model, optimizer, 1, reg.penalty)


def test_other_models_and_other_modes_are_silent() -> None:
    world(False)
    other = network(seed=2)
    steps(other, torch.optim.Adam(other.parameters()), 2)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="coupled")
    steps(model, optimizer, 2)


def test_several_optimizers_after_one_backward_pass() -> None:
    """Each holds a part of the penalised parameters, as with one for matrices and one for the rest."""
    model = network()
    reg = ridgeline.regularize(model, L2(0.1))
    pair = [torch.optim.SGD(model[0].parameters(), lr=0.1), torch.optim.Adam(model[2].parameters())]
    for _ in range(2):
        model.zero_grad()
        (data_loss(model) + reg.penalty()).backward()
        for optimizer in pair:
            optimizer.step()
    model.zero_grad()
    data_loss(model).backward()
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        pair[1].step()


@bound
def test_a_closure_is_checked_after_it_ran(bound: bool) -> None:
    model, optimizer, reg = world(bound)

    def closure(with_penalty: bool) -> Tensor:
        optimizer.zero_grad()
        loss = data_loss(model) + (reg.penalty() if with_penalty else 0.0)
        loss.backward()
        return loss

    optimizer.step(lambda: closure(True))
    with pytest.raises(RuntimeError, match=FORGOTTEN):
        optimizer.step(lambda: closure(False))


def test_hooks_end_with_remove_and_with_the_regularizer() -> None:
    before = (
        len(torch_optimizer._global_optimizer_pre_hooks),
        len(torch_optimizer._global_optimizer_post_hooks),
    )
    model, optimizer, reg = world(False)
    reg.remove()
    steps(model, optimizer, 1)
    model, optimizer, reg = world(False)
    alive = weakref.ref(reg)
    del reg
    gc.collect()
    assert alive() is None
    steps(model, optimizer, 1)  # its hooks do nothing, and go when the next regularizer comes
    world(False)[2].remove()
    now = len(torch_optimizer._global_optimizer_pre_hooks), len(torch_optimizer._global_optimizer_post_hooks)
    assert now <= before


def test_strength_zero_needs_no_penalty_in_the_loss() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L2(0.0), optimizer=optimizer)
    steps(model, optimizer, 2)
    assert float(reg.penalty().detach()) == 0.0
