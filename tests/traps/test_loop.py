"""Traps of the training loop: scaling, accumulation, validation, fused steps. One test a trap."""

import pytest
import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW

from ridgeline import L1, L2, regularize
from ridgeline.select import Mode
from tests.traps.models import data_loss, distance, line, mlp, train, weights


def scaled_step(mode: Mode, fused: bool, unscale: bool, scaler: torch.amp.GradScaler | None) -> list[Tensor]:
    model = line().float()
    optimizer = Adam(model.parameters(), lr=0.05, fused=fused)
    reg = regularize(model, L2(0.3), optimizer=optimizer, mode=mode)
    x = torch.linspace(-1, 1, 12).reshape(3, 4)
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss = loss + reg.penalty() if mode == "loss" else loss
        if scaler is None:
            loss.backward()
            optimizer.step()
            continue
        scaler.scale(loss).backward()
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    return weights(model)


@pytest.mark.parametrize("unscale", [False, True])
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled"])
def test_openseq2seq_127_the_loss_scale_leaves_the_penalty_alone(
    mode: Mode, fused: bool, unscale: bool
) -> None:
    """OpenSeq2Seq PR#127: not multiplied by the loss scale, the penalty was effectively off."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plain = scaled_step(mode, fused, False, None)
    assert distance(plain, scaled_step(mode, fused, unscale, scaler)) < 1e-5


@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled", "proximal"])
def test_accumulation_adds_the_penalty_once(mode: Mode) -> None:
    """peers §2b: over 4 micro-batches the penalty acts as over one batch, divided with the loss."""
    ends = []
    for parts in (1, 4):
        model = mlp()
        optimizer = SGD(model.parameters(), lr=0.05)
        reg = regularize(model, L2(0.3), optimizer=optimizer, mode=mode)
        for _ in range(3):
            optimizer.zero_grad()
            for _ in range(parts):
                loss = data_loss(model)
                loss = loss + reg.penalty() if mode == "loss" else loss
                (loss / parts).backward()
            optimizer.step()
        ends.append(weights(model))
    assert distance(*ends) < 1e-12


def test_keras_464_the_data_loss_is_reported_apart_from_the_penalty() -> None:
    """keras#464, #6518: evaluate 1.53 against 0.988, the difference being the penalty."""
    model = mlp()
    reg = regularize(model, L2(0.3))
    loss = data_loss(model)
    objective = loss + reg.penalty()
    model.eval()
    with torch.no_grad():
        assert torch.equal(data_loss(model), loss)
    assert (objective - loss).item() == pytest.approx(reg.log()["ridgeline/penalty"])


def test_cito_43_reading_the_penalty_in_validation_is_no_training() -> None:
    """cito#43: "loss or loss + reg?" in validation: the number is there, and counts as no backward."""
    model = mlp()
    optimizer = SGD(model.parameters(), lr=0.1)
    reg = regularize(model, L2(0.3), optimizer=optimizer)
    with torch.no_grad():
        assert not reg.penalty().requires_grad
    data_loss(model).backward()
    with pytest.raises(RuntimeError, match="without a backward pass through"):
        optimizer.step()


@pytest.mark.parametrize("bound", [True, False])
def test_tensorflow_33219_a_custom_loop_that_forgets_the_penalty(bound: bool) -> None:
    """tensorflow#33219, #33556: λ = 1e5 "has no effect": the loop never added model.losses."""
    model = mlp()
    optimizer = SGD(model.parameters(), lr=1e-6)
    reg = regularize(model, L2(1e5), optimizer=optimizer if bound else None)
    before = weights(model)
    data_loss(model).backward()
    with pytest.raises(RuntimeError, match=r"loss = criterion\(\.\.\.\) \+ reg\.penalty\(\)"):
        optimizer.step()
    assert distance(before, weights(model)) == 0
    (data_loss(model) + reg.penalty()).backward()
    optimizer.step()


def test_torch_fused_optimizers_have_no_room_between_gradient_and_decay() -> None:
    """torch fused: decay is inside the kernel; each mode acts around it, as in the plain optimizer."""
    modes: tuple[Mode, ...] = ("coupled", "decoupled", "independent", "proximal")
    for mode in modes:
        ends = []
        for fused in (False, True):
            model = mlp()
            optimizer = AdamW(model.parameters(), lr=0.05, weight_decay=0.0, fused=fused)
            ends.append(train(model, optimizer, regularize(model, L1(0.3), optimizer=optimizer, mode=mode)))
        assert distance(*ends) < 1e-12
        assert distance(ends[0], weights(mlp())) > 1e-3
