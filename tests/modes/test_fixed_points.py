"""Strength 0 is the plain optimizer bit for bit; L2 ends at the closed ridge solution."""

from typing import Any

import pytest
import torch
from torch import nn

import ridgeline
from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, Penalty
from ridgeline.select import MODES
from tests.modes.test_closures import STRENGTH, X, Y, linear, ridge
from tests.modes.worlds import OPTIMIZERS, equal, network, steps

ZEROS: dict[str, Penalty] = {
    "L1": L1(0.0),
    "L2": L2(0.0),
    "L2 as a tensor": L2(torch.tensor(0.0)),
    "ElasticNet": ElasticNet(0.0, 0.5),
    "L2+GroupLasso": L2(0.0) + GroupLasso(0.0),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "name", ["SGD", "SGD fused", "SGD momentum", "Adam", "Adam fused", "AdamW", "NAdam", "RMSprop", "Adagrad"]
)
def test_strength_zero_is_the_plain_optimizer(name: str, mode: Any) -> None:
    twin = network()
    other = OPTIMIZERS[name](twin.parameters())
    steps(twin, other, 5)
    for label, penalty in ZEROS.items():
        model = network()
        optimizer = OPTIMIZERS[name](model.parameters())
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
        steps(model, optimizer, 5, reg.penalty if mode == "loss" else lambda: 0.0)
        assert equal(model.parameters(), twin.parameters()), label
        assert float(reg.penalty().detach()) == 0.0


@pytest.mark.parametrize("mode", ["loss", "coupled", "proximal"])
@pytest.mark.parametrize("name", ["SGD", "SGD momentum", "SGD nesterov", "Adam", "Adam fused", "NAdam"])
def test_l2_ends_at_the_ridge_solution(name: str, mode: Any) -> None:
    model = linear()
    optimizer = OPTIMIZERS[name](model.parameters())
    reg = ridgeline.regularize(model, L2(STRENGTH), optimizer=optimizer, mode=mode)
    optimizer.param_groups[0]["lr"] = 0.05
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 1500)
    for _ in range(1500):
        optimizer.zero_grad()
        loss = 0.5 * nn.functional.mse_loss(model(X), Y)
        (loss + (reg.penalty() if mode == "loss" else 0.0)).backward()
        optimizer.step()
        plan.step()
    assert torch.allclose(model.weight, ridge(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_a_removed_regularizer_leaves_the_plain_optimizer(mode: Any) -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.Adam(net.parameters(), lr=0.01) for net in (model, twin))
    reg = ridgeline.regularize(model, L1(0.3), optimizer=optimizer, mode=mode)
    reg.remove()
    steps(model, optimizer, 5)
    steps(twin, other, 5)
    assert equal(model.parameters(), twin.parameters())
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks
