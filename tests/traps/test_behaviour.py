"""Traps of what a penalty does to weights: zeros, cycles, saturation. One test a trap."""

from typing import Any

import pytest
from torch import nn
from torch.optim import SGD, Adam

from ridgeline import L1, GroupLasso, Norm, regularize
from ridgeline.select import Mode
from tests.traps.models import mlp, train


def zeros(mode: Mode, make: Any, penalty: Any) -> int:
    model = mlp()
    optimizer = make(model.parameters(), lr=0.05)
    train(model, optimizer, regularize(model, penalty, optimizer=optimizer, mode=mode), steps=60)
    return int((model[0].weight == 0).sum())


@pytest.mark.parametrize("make", [SGD, Adam])
@pytest.mark.parametrize("penalty", [L1(0.1), GroupLasso(0.1)], ids=str)
def test_iss_rnns_5_exact_zeros_come_from_prox_alone(make: Any, penalty: Any) -> None:
    """iss-rnns#5, cudamat#9, playground PR#55: L1 by its gradient gives small weights, not zeros."""
    assert zeros("proximal", make, penalty) > 0
    modes: tuple[Mode, ...] = ("loss", "coupled", "decoupled", "independent")
    assert [zeros(mode, make, penalty) for mode in modes] == [0, 0, 0, 0]


def test_torch_optim_41_the_sign_gradient_cycles_around_zero() -> None:
    """torch/optim#41: w − ηλ sign(w) swings around 0 for ever; the prox stays there."""
    seen: dict[Mode, list[float]] = {"loss": [], "proximal": []}
    for mode, values in seen.items():
        model = nn.Linear(1, 1, bias=False).double()
        nn.init.constant_(model.weight, 0.25)
        optimizer = SGD(model.parameters(), lr=0.1)
        reg = regularize(model, L1(1.0), optimizer=optimizer, mode=mode)
        for _ in range(9):
            optimizer.zero_grad()
            (0.0 * model.weight.sum() + reg.penalty()).backward()
            optimizer.step()
            values.append(model.weight.item())
    assert seen["proximal"][3:] == [0.0] * 6
    assert seen["loss"][3:] == pytest.approx([0.05, -0.05] * 3, abs=1e-12) or seen["loss"][
        3:
    ] == pytest.approx([-0.05, 0.05] * 3, abs=1e-12)


def falls(penalty_of: Any) -> list[float]:
    """How far Σ‖w‖ falls under Adam at strengths 10 and 1e4."""
    found = []
    for strength in (10.0, 1e4):
        model = mlp()
        optimizer = Adam(model.parameters(), lr=1e-3)
        reg = regularize(model, penalty_of(strength), optimizer=optimizer)
        start = regularize(model, Norm(1.0)).penalty().item()
        train(model, optimizer, reg, steps=100)
        found.append(start - regularize(model, Norm(1.0)).penalty().item())
    return found


def test_saelens_719_adam_saturates_a_penalty_in_the_loss() -> None:
    """SAELens#719, S3: strengths 10 and 1e4 move the weights alike: Adam divides the strength out."""
    weak, strong = falls(Norm)
    assert weak > 0.1
    assert 0.9 < strong / weak < 1.1


def test_saelens_719_the_proximal_mode_is_not_saturated() -> None:
    """SAELens#719: the way out is a mode whose effect is not divided by the penalty's own size."""
    ends = []
    for strength in (0.01, 1.0):
        model = mlp()
        optimizer = Adam(model.parameters(), lr=1e-2)
        reg = regularize(model, L1(strength), optimizer=optimizer, mode="proximal")
        train(model, optimizer, reg, steps=100)
        ends.append(reg.log()["ridgeline/exact_zeros"])
    assert ends[0] < 0.5
    assert ends[1] > ends[0] + 0.3


def test_structured_sparsity_2_why_is_the_penalty_not_in_the_loss() -> None:
    """pytorch-structured-sparsity#2: a prox acts after the step; its value is still to be read."""
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.05)
    reg = regularize(model, L1(0.1), optimizer=optimizer, mode="proximal")
    before = reg.penalty().item()
    assert before == pytest.approx(0.1 * (model[0].weight.abs().sum() + model[3].weight.abs().sum()).item())
    train(model, optimizer, reg, steps=20)
    assert reg.penalty().item() < before
    assert reg.objective() is None
