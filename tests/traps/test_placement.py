"""Traps of placement: where a penalty enters the step, and what the step makes of it. One test a trap."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ridgeline import L1, L2, Rule, regularize
from ridgeline.select import Mode
from tests.traps.models import batch, data_loss, distance, line, mlp, train, weights

MAKE: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda p: SGD(p, lr=0.05),
    "momentum": lambda p: SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "Adam": lambda p: Adam(p, lr=0.05),
}


def run(make: Callable[[Any], Optimizer], mode: Mode, penalty: Any, steps: int = 5) -> list[Tensor]:
    model = mlp()
    optimizer = make(model.parameters())
    reg = regularize(model, penalty, optimizer=optimizer, mode=mode)
    return train(model, optimizer, reg, steps)


def everywhere(penalty: Any) -> list[Rule]:
    return [Rule("*", penalty)]


@pytest.mark.parametrize("name", MAKE)
def test_section_4_the_strength_is_torchs_weight_decay(name: str) -> None:
    """peers §4: ½λΣw² is coupled weight_decay=λ, with no factor 2 between them."""
    model = mlp()
    optimizer = MAKE[name](model.parameters())
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.3
    native = train(model, optimizer, None)
    assert distance(native, run(MAKE[name], "coupled", everywhere(L2(0.3)))) == 0
    assert distance(native, run(MAKE[name], "loss", everywhere(L2(0.3)))) < 1e-10


@pytest.mark.parametrize("name", MAKE)
def test_torch_38767_the_coupled_term_is_the_gradient_of_the_penalty(name: str) -> None:
    """torch#38767 says Adam's weight_decay "is not an L2 penalty": its gradient is exactly that of one."""
    for penalty in (L2(0.3), L1(0.1)):
        assert distance(run(MAKE[name], "loss", penalty), run(MAKE[name], "coupled", penalty)) < 1e-10


def test_adamw_decoupled_decay_is_no_penalty_under_adam() -> None:
    """torch#38767, apex#1849: under Adam decoupled decay is another method; under SGD it is the same."""
    coupled, decoupled = (run(MAKE["Adam"], mode, L2(0.3)) for mode in ("coupled", "decoupled"))
    assert distance(coupled, decoupled) > 1e-3
    coupled, decoupled = (run(MAKE["SGD"], mode, L2(0.3)) for mode in ("coupled", "decoupled"))
    assert distance(coupled, decoupled) < 1e-14


def test_torch_3740_decoupled_decay_is_multiplied_by_the_learning_rate() -> None:
    """torch PR#3740: two years on whether decay takes the learning rate; ours is AdamW's."""
    model = mlp()
    optimizer = AdamW(model.parameters(), lr=0.05, weight_decay=0.3)
    assert (
        distance(train(model, optimizer, None), run(MAKE["Adam"], "decoupled", everywhere(L2(0.3)))) < 1e-14
    )


@pytest.mark.parametrize(("mode", "ratio"), [("decoupled", 10.0), ("independent", 1.0)])
def test_mup_1_a_higher_learning_rate_silently_raises_the_decay(mode: Mode, ratio: float) -> None:
    """mup#1: decay grows with the learning rate; mode independent is the one that does not."""
    moved = []
    for lr in (0.01, 0.1):
        model = line()
        optimizer = SGD(model.parameters(), lr=lr)
        before = model.weight.detach().clone()
        regularize(model, L2(0.1), optimizer=optimizer, mode=mode)
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
        moved.append(float((before - model.weight.detach()).norm()))
    assert moved[1] / moved[0] == pytest.approx(ratio)


def test_addons_844_decay_that_ignores_the_schedule_destroys_the_weights() -> None:
    """tensorflow/addons#844: unscaled decay goes on as the learning rate falls; ours follows it to 0."""
    model = line()
    optimizer = SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    regularize(model, L2(0.5), optimizer=optimizer, mode="independent")
    moved = []
    for _ in range(2):
        before = model.weight.detach().clone()
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
        scheduler.step()
        moved.append(float((before - model.weight.detach()).abs().max()))
    assert moved[0] > 0
    assert moved[1] == 0


@pytest.mark.parametrize("make", [SGD, Adam, AdamW])
def test_deepxde_1905_the_optimizers_own_decay_on_as_well(make: Any) -> None:
    """deepxde#1905: decay for L2 and the loss for L1 are not one objective: refused, not mixed."""
    for mode in ("loss", "coupled", "decoupled", "proximal"):
        model = line()
        optimizer = make(model.parameters(), lr=0.1, weight_decay=0.01)
        with pytest.raises(ValueError, match=r"decays weight by itself \(weight_decay=0\.01\), on top"):
            regularize(model, L1(0.1), optimizer=optimizer, mode=mode)


def test_deepxde_1905_lbfgs_sees_the_penalty() -> None:
    """deepxde#1905: L-BFGS ignores weight decay; with the closure wrapped it minimises loss + R."""
    model = line()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")
    regularize(model, L2(0.6), optimizer=optimizer, mode="coupled")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = data_loss(model)
        loss.backward()
        return loss

    optimizer.step(closure)  # a Tensor is what torch expects
    x, y = batch()
    x, y = x - x.mean(0), y - y.mean(0)  # the bias is free
    ridge = torch.linalg.solve(x.T @ x / 16 + 0.3 * torch.eye(4, dtype=x.dtype), x.T @ y / 16).T
    torch.testing.assert_close(model.weight.detach(), ridge, rtol=1e-4, atol=1e-5)


def test_a_split_clipping_takes_the_penalty_along_in_loss_only() -> None:
    """peers §2a: in the loss the penalty is clipped along; coupled it comes after clipping."""
    moved = {}
    for mode in ("loss", "coupled"):
        model = line()
        optimizer = SGD(model.parameters(), lr=1.0)
        reg = regularize(model, L2(50.0), optimizer=optimizer, mode=mode)
        before = weights(model)
        loss = data_loss(model)
        (loss + reg.penalty()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        moved[mode] = distance(before, weights(model))
    assert moved["loss"] <= 0.1
    assert moved["coupled"] > 1.0
