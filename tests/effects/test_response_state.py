"""reg.response(step_fn) sets back whatever a training step may keep: histories, averages, counters, layers."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L2

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randn(32, 2, generator=torch.Generator().manual_seed(2))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))


def attached(model: nn.Module) -> tuple[torch.optim.Optimizer, Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return optimizer, ridgeline.regularize(model, L2(0.01), optimizer=optimizer, mode="coupled")


def train(model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(X), Y)
    loss.backward()
    optimizer.step()
    return loss


def test_the_history_of_lbfgs_too() -> None:
    """Its state has lists that grow in place: runs from another history are no repetition."""
    ends = []
    for asked in (False, True):
        model = network()
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
        reg = ridgeline.regularize(model, L2(0.01), optimizer=optimizer, mode="coupled")

        def step(i: int, model: nn.Module = model, optimizer: Any = optimizer) -> None:
            def closure() -> Tensor:
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(X), Y)
                loss.backward()
                return loss

            optimizer.step(closure)

        step(0)
        if asked:
            assert reg.response(step, steps=2).overall == {"as set": "acting"}
        step(1)
        ends.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


class Average:
    """Of the weights, as people write it: without state_dict()."""

    def __init__(self, model: nn.Module) -> None:
        self.weights, self.count = [p.detach().clone() for p in model.parameters()], 0

    def update(self, model: nn.Module) -> None:
        self.count += 1
        self.weights = [
            w.lerp(p.detach(), 0.1) for w, p in zip(self.weights, model.parameters(), strict=True)
        ]


def test_averages_and_counters_and_logs() -> None:
    model = network()
    optimizer, reg = attached(model)
    in_place = {name: p.detach().clone() for name, p in model.named_parameters()}
    average, losses, count = Average(model), [1.0], 7

    def step(i: int) -> None:
        nonlocal count
        count += 1
        losses.append(train(model, optimizer).item())
        average.update(model)
        with torch.no_grad():
            for name, p in model.named_parameters():
                in_place[name].lerp_(p, 0.1)

    before = [w.clone() for w in (*in_place.values(), *average.weights)]
    reg.response(step, steps=2)
    assert all(torch.equal(a, b) for a, b in zip(before, (*in_place.values(), *average.weights), strict=True))
    assert (count, average.count, losses) == (7, 0, [1.0])


def test_a_counter_is_no_noise() -> None:
    """A warm-up that counts its own steps begins each run where it stands now."""
    model = network()
    optimizer, reg = attached(model)
    count = 0

    def step(i: int) -> None:
        nonlocal count
        count += 1
        optimizer.param_groups[0]["lr"] = 1e-3 * count
        train(model, optimizer)

    row = reg.response(step).rows[0]
    assert row["noise"] < 1e-3 * row["by_data"]
    assert (row["verdict"], count, optimizer.param_groups[0]["lr"]) == ("acting", 0, 0.1)


@dataclass(slots=True)
class Run:
    """A person's own container, without __dict__."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: Any

    def __call__(self, i: int) -> None:
        self.whole()

    def whole(self) -> None:
        train(self.model, self.optimizer)
        self.scheduler.step()


def as_default(run: Run) -> Callable[[int], None]:
    def step(
        i: int, model: nn.Module = run.model, *, optimizer: Any = run.optimizer, s: Any = run.scheduler
    ) -> None:
        train(model, optimizer)
        s.step()

    return step


def nested(run: Run) -> Callable[[int], None]:
    space: dict[str, Any] = {
        "model": run.model,
        "optimizer": run.optimizer,
        "s": run.scheduler,
        "train": train,
    }
    exec(
        "def step(i):\n    def inner():\n        train(model, optimizer)\n        s.step()\n    inner()\n",
        space,
    )
    found: Callable[[int], None] = space["step"]
    return found


def half_defined(run: Run) -> Callable[[int], None]:
    def step(i: int) -> None:
        run(i)
        if i > 100:
            later()

    if run.scheduler is None:

        def later() -> None: ...

    return step


WAYS: dict[str, Callable[[Run], Callable[[int], None]]] = {
    "an instance with slots": lambda run: run,
    "its method": lambda run: lambda i: run.whole(),
    "default arguments": as_default,
    "a function inside a function": nested,
    "partial": lambda run: functools.partial(lambda r, i: r.whole(), run),
    "a variable without a value": half_defined,
}


@pytest.mark.parametrize("name", WAYS)
def test_a_scheduler_is_found_however_the_step_holds_it(name: str) -> None:
    model = network()
    optimizer, reg = attached(model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    step = WAYS[name](Run(model, optimizer, scheduler))
    assert reg.response(step, steps=2).overall == {"as set": "acting"}
    assert scheduler.last_epoch == 0


def test_a_scaler_after_a_step_that_raised_between_unscaling_and_updating() -> None:
    model = network()
    optimizer, reg = attached(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step(i: int, fails: bool = True) -> None:
        optimizer.zero_grad()
        scaler.scale(nn.functional.mse_loss(model(X), Y)).backward()
        scaler.unscale_(optimizer)
        if fails and i == 1:
            raise OSError("the loader died")
        scaler.step(optimizer)
        scaler.update()

    step(0, fails=False)
    with pytest.raises(OSError, match="loader"):
        reg.response(step)
    step(0, fails=False)


def test_layers_groups_and_what_asks_for_a_gradient() -> None:
    class Counting(nn.Linear):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            found: Tensor = super().forward(x) / self.calls
            return found

    model = network()
    model[2] = Counting(5, 2).requires_grad_(False)
    head = model[2]
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    reg = ridgeline.regularize(
        model, [ridgeline.Rule("0.weight", L2(0.01))], optimizer=optimizer, mode="coupled"
    )
    model(X)

    def step(i: int) -> None:
        if i == 1:
            head.requires_grad_(True)
            optimizer.add_param_group({"params": list(head.parameters())})
            model.append(nn.Identity())
            model[2] = nn.Linear(5, 2)
        train(model, optimizer)

    assert reg.response(step, steps=3).repeated == 0.0  # a new layer is drawn from the same random state
    assert model[2] is head
    assert len(model) == 3
    assert len(optimizer.param_groups) == 1
    assert not head.weight.requires_grad
    assert vars(head)["calls"] == 1


def test_what_is_not_a_step_is_refused() -> None:
    model = network()
    optimizer, reg = attached(model)
    with pytest.raises(ValueError, match=r"cannot be called so \(too many positional arguments\)"):
        reg.response(lambda: train(model, optimizer))
    with pytest.raises(ValueError, match="step_fn is Tensor; it must be a function"):
        reg.response(train(model, optimizer))
