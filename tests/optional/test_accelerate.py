"""Accelerate: prepared models and optimizers train as a loop written by hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import StepLR

import ridgeline
from ridgeline import L2, L2SP, Rule, schedules
from ridgeline.integrations._shared import Kept
from ridgeline.penalties import Penalty
from ridgeline.select import Mode
from tests.optional import worlds
from tests.optional.worlds import Make, adamw, by_hand, each_optimizer, each_penalty, momentum, same, weights

accelerate = worlds.library("accelerate")
regularize = worlds.library("ridgeline.integrations.accelerate").regularize


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Accelerate keeps its settings for the whole process."""
    yield
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    accelerate.state.GradientState._reset_state()


def epoch(
    accelerator: Any, model: nn.Module, optimizer: Any, reg: Any, mode: Mode, clip: float | None = None
) -> None:
    """An epoch as Accelerate's manual writes it."""
    for x, y in worlds.batches():
        with accelerator.accumulate(model):
            loss = F.mse_loss(model(x), y)
            if mode == "loss":
                loss = loss + reg.penalty()
            accelerator.backward(loss)
            if clip is not None and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            optimizer.zero_grad()


def trained(
    make: Make, penalty: Penalty, mode: Mode, *, accumulate: int = 1, clip: float | None = None
) -> list[Tensor]:
    """The weights after two epochs."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    inner = worlds.network()
    model, optimizer = accelerator.prepare(inner, make(inner.parameters()))
    reg = regularize(accelerator, model, penalty, optimizer=optimizer, mode=mode)
    for _ in range(2):
        epoch(accelerator, model, optimizer, reg, mode, clip)
    return weights(inner)


@each_optimizer
@each_penalty
def test_equals_the_loop_by_hand(make: Make, mode: Mode, penalty: Penalty) -> None:
    found = trained(make, penalty, mode)
    assert same(found, by_hand(make, penalty, mode))
    assert not same(found, by_hand(make, None, mode), close=1e-4)


@each_penalty
def test_once_for_each_accumulated_step(mode: Mode, penalty: Penalty) -> None:
    found = trained(momentum, penalty, mode, accumulate=2)
    assert same(found, by_hand(momentum, penalty, mode, accumulate=2))


@each_optimizer
@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_in_the_loss(make: Make, accumulate: int) -> None:
    found = trained(make, L2(0.3), "loss", accumulate=accumulate)
    assert same(found, by_hand(make, L2(0.3), "loss", accumulate=accumulate))
    assert same(found, by_hand(make, L2(0.3), "coupled", accumulate=accumulate), close=1e-5)


@pytest.mark.parametrize("mode", ["loss", "coupled"])
def test_clipping(mode: Mode) -> None:
    """Along with the gradient of the data in mode "loss", past it in mode "coupled"."""
    found = trained(momentum, L2(0.3), mode, clip=0.1)
    assert same(found, by_hand(momentum, L2(0.3), mode, clip=0.1))
    other: Mode = "coupled" if mode == "loss" else "loss"
    assert not same(found, by_hand(momentum, L2(0.3), other, clip=0.1), close=1e-4)


@each_penalty
def test_prepared_learning_rate_schedule(mode: Mode, penalty: Penalty) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    inner = worlds.network()
    plain = momentum(inner.parameters())
    model, optimizer, scheduler = accelerator.prepare(inner, plain, StepLR(plain, 1, 0.5))
    reg = regularize(accelerator, model, penalty, optimizer=optimizer, mode=mode)
    for _ in range(2):
        epoch(accelerator, model, optimizer, reg, mode)
        scheduler.step()
    expected = by_hand(momentum, penalty, mode, schedule=lambda o: StepLR(o, len(worlds.batches()), 0.5))
    assert same(weights(inner), expected)


def growing(accelerator: Any) -> tuple[Any, Any, Any]:
    """Prepared, with a penalty whose state matters: a growing strength, a pull to the first weights."""
    inner = worlds.network()
    model, optimizer = accelerator.prepare(inner, adamw(inner.parameters()))
    rules = [
        Rule("0.weight", L2(schedules.warmup(0.5, 12)), "decoupled"),
        Rule("2.weight", L2SP(0.5), "coupled"),
    ]
    return model, optimizer, regularize(accelerator, model, rules, optimizer=optimizer)


def test_resumed_is_uninterrupted(tmp_path: Path) -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer, reg = growing(accelerator)
    for _ in range(4):
        epoch(accelerator, model, optimizer, reg, "coupled")
    whole = weights(accelerator.unwrap_model(model))
    accelerator.free_memory()

    first = accelerate.Accelerator(cpu=True)
    model, optimizer, reg = growing(first)
    for _ in range(2):
        epoch(first, model, optimizer, reg, "coupled")
    first.save_state(str(tmp_path / "half"))
    first.free_memory()

    again = accelerate.Accelerator(cpu=True)
    model, optimizer, reg = growing(again)
    epoch(again, model, optimizer, reg, "coupled")  # is forgotten
    again.load_state(str(tmp_path / "half"))
    for _ in range(2):
        epoch(again, model, optimizer, reg, "coupled")
    assert same(weights(model), whole)
    assert torch.equal(reg.state_dict()["references"]["2.weight"], weights(worlds.network())[2])
    assert reg.state_dict()["clock"] == 16


def test_the_first_process_writes_for_all() -> None:
    """Accelerate saves an object's state in one process; `Kept` has no shards of that one in it."""
    accelerator = accelerate.Accelerator(cpu=True)
    growing(accelerator)
    assert [type(kept) for kept in accelerator._custom_objects] == [Kept]


@each_penalty
def test_optimizer_built_anew(mode: Mode, penalty: Penalty) -> None:
    def each_epoch(model: nn.Module, optimizer: Optimizer, reg: Any) -> Optimizer:
        fresh = adamw(model.parameters())
        reg.bind(model, fresh)
        return fresh

    accelerator = accelerate.Accelerator(cpu=True)
    inner = worlds.network()
    model, optimizer = accelerator.prepare(inner, adamw(inner.parameters()))
    reg = regularize(accelerator, model, penalty, optimizer=optimizer, mode=mode)
    epoch(accelerator, model, optimizer, reg, mode)
    model, fresh = accelerator.prepare(model, adamw(inner.parameters()))
    assert reg.bind(model, fresh) is reg
    assert worlds.hooks(optimizer.optimizer) == 0
    epoch(accelerator, model, fresh, reg, mode)
    assert same(weights(inner), by_hand(adamw, penalty, mode, each_epoch=each_epoch))


def test_another_optimizer_is_noticed() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    inner = worlds.network()
    model, optimizer = accelerator.prepare(inner, adamw(inner.parameters()))
    reg = regularize(accelerator, model, L2(0.3), optimizer=optimizer, mode="coupled")
    with pytest.raises(RuntimeError, match=r"another optimizer than the bound one.*reg.bind"):
        epoch(accelerator, model, accelerator.prepare(adamw(inner.parameters())), reg, "coupled")


def test_a_forgotten_penalty_is_noticed() -> None:
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    inner = worlds.network()
    model, optimizer = accelerator.prepare(inner, momentum(inner.parameters()))
    reg = regularize(accelerator, model, L2(0.3), optimizer=optimizer)
    with pytest.raises(RuntimeError, match=r"without a backward pass through reg.penalty"):
        epoch(accelerator, model, optimizer, reg, "coupled")


def test_wrappers_are_taken_off() -> None:
    accelerator = accelerate.Accelerator(cpu=True)
    inner = worlds.network()
    optimizer = momentum(inner.parameters())
    for model in (inner, nn.DataParallel(inner), torch.compile(inner, backend="eager")):
        for wrapped in (optimizer, accelerator.prepare(optimizer)):
            reg = regularize(accelerator, model, L2(0.3), optimizer=wrapped, mode="coupled")
            assert list(reg.terms()) == ["0.weight", "2.weight"]
            reg.remove()


def test_what_is_no_torch_optimizer_is_refused() -> None:
    class Engine:
        """Steps by itself, as DeepSpeed does."""

    accelerator, model = accelerate.Accelerator(cpu=True), worlds.network()
    with pytest.raises(ridgeline.RidgelineError, match="Engine is no torch optimizer"):
        regularize(accelerator, model, L2(0.3), optimizer=Engine(), mode="coupled")
    with pytest.raises(ValueError, match="mode is 'couple'"):
        regularize(accelerator, model, L2(0.3), mode="couple")
    assert not accelerator._custom_objects
