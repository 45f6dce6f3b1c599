"""Closures: an optimizer that evaluates the loss itself sees loss + R."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.penalties import L2
from tests.modes.worlds import PENALTIES, close, data_loss, network, plain, steps, weights

G = torch.Generator().manual_seed(0)
X = torch.randn(40, 5, generator=G, dtype=torch.float64)
Y = X @ torch.randn(5, 1, generator=G, dtype=torch.float64) + 0.1 * torch.randn(
    40, 1, generator=G, dtype=torch.float64
)
STRENGTH = 0.3


def ridge() -> Tensor:
    """argmin ½/n ‖Xw − y‖² + ½ λ‖w‖², in closed form."""
    gram = X.T @ X / len(X) + STRENGTH * torch.eye(5, dtype=torch.float64)
    solution: Tensor = torch.linalg.solve(gram, X.T @ Y / len(X))
    return solution.T


def linear() -> nn.Linear:
    model = nn.Linear(5, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    return model


def loss_of(model: nn.Linear) -> Tensor:
    return 0.5 * nn.functional.mse_loss(model(X), Y)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # torch itself does, once
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
@pytest.mark.parametrize("mode", ["loss", "coupled"])
def test_lbfgs_finds_the_ridge_solution(mode: Any, search: str | None) -> None:
    model = linear()
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=50, line_search_fn=search, tolerance_change=1e-15
    )
    reg = ridgeline.regularize(model, L2(STRENGTH), optimizer=optimizer, mode=mode)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(model) + (reg.penalty() if mode == "loss" else 0.0)
        loss.backward()
        return loss

    losses = [float(optimizer.step(closure).detach()) for _ in range(4)]
    assert torch.allclose(model.weight, ridge(), rtol=1e-6, atol=1e-8)
    total = loss_of(model) + L2(STRENGTH).value(model.weight)
    assert losses[-1] == pytest.approx(float(total), rel=1e-9)


@pytest.mark.parametrize("mode", ["decoupled", "independent", "proximal"])
def test_lbfgs_refuses_the_other_modes(mode: Any) -> None:
    model = linear()
    with pytest.raises(ValueError, match=rf"mode '{mode}' has no meaning for LBFGS"):
        ridgeline.regularize(model, L2(0.1), optimizer=torch.optim.LBFGS(model.parameters()), mode=mode)


@pytest.mark.parametrize("how", ["positional", "keyword"])
@pytest.mark.parametrize("penalty", ["L1", "L2", "L1+GroupLasso"])
def test_a_closure_that_clears_gradients_does_not_clear_the_penalty(penalty: str, how: str) -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (model, twin))
    ridgeline.regularize(model, PENALTIES[penalty], optimizer=optimizer, mode="coupled")
    for k in range(4):

        def closure(k: int = k) -> Tensor:
            optimizer.zero_grad()
            loss = data_loss(model, k)
            loss.backward()
            return loss

        before = data_loss(model, k) + plain(PENALTIES[penalty], weights(model))
        got: Any = optimizer.step(closure) if how == "positional" else optimizer.step(closure=closure)
        assert float(got.detach()) == pytest.approx(float(before.detach()), rel=1e-10)
        other.zero_grad()
        (data_loss(twin, k) + plain(PENALTIES[penalty], weights(twin))).backward()
        other.step()
    assert close(model.parameters(), twin.parameters(), rtol=1e-9)


@pytest.mark.parametrize("mode", ["decoupled", "proximal"])
def test_the_other_modes_work_with_a_closure(mode: Any) -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin))
    ridgeline.regularize(model, PENALTIES["L1"], optimizer=optimizer, mode=mode)
    ridgeline.regularize(twin, PENALTIES["L1"], optimizer=other, mode=mode)
    for k in range(3):

        def closure(k: int = k) -> Tensor:
            optimizer.zero_grad()
            loss = data_loss(model, k)
            loss.backward()
            return loss

        optimizer.step(closure)
    steps(twin, other, 3)
    if mode == "proximal":
        assert close(model.parameters(), twin.parameters())
    else:  # the decay comes between the closure's gradient and the update, as without a closure
        assert close(model.parameters(), twin.parameters(), rtol=1e-10)
