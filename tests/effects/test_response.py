"""reg.response(step_fn): planted responses get their verdict, and everything is set back bit for bit."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, L2, MaxNorm, Norm, schedules
from ridgeline.penalties import Penalty
from ridgeline.regularizer._judge import judge
from ridgeline.regularizer._measured import Measured
from ridgeline.select import Mode

X = torch.randn(8, 32, 1, 12, 12, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 10, (8, 32), generator=torch.Generator().manual_seed(2))


def network() -> nn.Module:
    """As S3: twice convolution, normalization, ReLU, and a linear layer; with dropout for the random state."""
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Flatten(), nn.Dropout(0.1), nn.Linear(512, 10)),
    )


def stepping(
    model: nn.Module, optimizer: torch.optim.Optimizer, term: Callable[[], Any] = lambda: 0.0
) -> Callable[[int], Tensor]:
    def step(i: int) -> Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(X[i % 8]), Y[i % 8])
        (loss + term()).backward()
        optimizer.step()
        return loss

    return step


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-3)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05)


def overall(
    penalty: Penalty, mode: Mode, make: Callable[[nn.Module], torch.optim.Optimizer], *strengths: float
) -> list[str]:
    model = network()
    optimizer = make(model)
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
    term = reg.penalty if mode == "loss" else lambda: 0.0
    found = reg.response(stepping(model, optimizer, term), list(strengths) or None)
    return list(found.overall.values())


def test_the_published_saturation_is_recognised() -> None:
    """S3: the object λΣ‖w‖ under Adam: a thousandfold strength changes nothing more."""
    assert overall(Norm(10.0), "loss", adam, 10.0, 1e4) == ["saturated", "saturated"]


def test_l1_under_adam_saturates_as_sparse_autoencoders_do() -> None:
    """SAELens#720: coefficients of 0.1 to 100 all end alike."""
    assert overall(L1(1.0), "loss", adam, 1e-6, 10.0) == ["acting", "saturated"]


@pytest.mark.parametrize("mode", ["loss", "coupled", "decoupled", "proximal"])
def test_ordinary_strengths_act(mode: Mode) -> None:
    assert overall(L2(0.05), mode, sgd) == ["acting"]
    assert overall(L2(0.05), mode, adam) == ["acting"]


def test_too_weak_is_within_the_noise() -> None:
    assert overall(L2(1e-12), "coupled", sgd) == ["negligible"]
    assert overall(L2(1e-12), "loss", adam) == ["negligible"]


def test_too_strong_leaves_the_data_no_say() -> None:
    assert overall(L2(100.0), "decoupled", lambda m: torch.optim.SGD(m.parameters(), lr=0.005)) == [
        "dominating"
    ]


def test_all_zero_by_the_prox_is_saturated() -> None:
    assert overall(L1(1e5), "proximal", adam) == ["saturated"]


def test_a_penalty_without_a_gradient_is_dead() -> None:
    """All weights of a layer are 0 and no data reaches it: L2 has nothing to shrink, at any strength."""
    model = network()
    model.register_module("idle", nn.Linear(4, 4, bias=False))
    nn.init.zeros_(model.get_parameter("idle.weight"))
    parts = nn.ModuleList([model])

    def step(i: int) -> None:
        optimizer.zero_grad()
        layers = list(model.children())[:-1]
        x = X[i % 8]
        for layer in layers:
            x = layer(x)
        (nn.functional.cross_entropy(x, Y[i % 8]) + reg.penalty()).backward()
        optimizer.step()

    optimizer = sgd(model)
    reg = ridgeline.regularize(parts, L2(0.05), optimizer=optimizer)
    rows = {row["name"]: row["verdict"] for row in reg.response(step).rows}
    assert rows["0.idle.weight"] == "dead"
    assert rows["0.8.weight"] == "acting"
    assert rows["all tensors"] == "acting"


def test_everything_is_set_back() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    average = torch.optim.swa_utils.AveragedModel(model)
    penalty = L2(schedules.warmup(0.1, 100))
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode="coupled")

    def step(i: int) -> float:
        optimizer.zero_grad()
        noise = random.random() + np.random.rand()
        loss = nn.functional.cross_entropy(model(X[i % 8]), Y[i % 8]) * (1 + 0.01 * noise)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        average.update_parameters(model)
        model.eval()
        return float(loss.detach())

    def state() -> Any:
        found = [t.clone() for t in [*model.state_dict().values(), *average.state_dict().values()]]
        found += [p.grad.clone() for p in model.parameters() if p.grad is not None]
        found += [v.clone() for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
        found += [
            torch.get_rng_state(),
            torch.tensor(np.random.get_state(legacy=False)["state"]["key"].astype(np.int64)),
        ]
        settings = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
        return [
            found,
            settings,
            scheduler.state_dict(),
            scaler.state_dict(),
            random.getstate(),
            reg.state_dict(),
        ]

    step(0)
    model.train()
    before = state()
    found = reg.response(step, steps=3)
    after = state()
    assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
    assert before[1:] == after[1:]
    assert all(m.training for m in model.modules())
    assert len(found.losses["as set"]) == 3
    step(0)  # and training goes on


def test_the_next_step_is_the_one_that_would_have_been() -> None:
    found = []
    for asked in (False, True):
        model = network()
        optimizer = adam(model)
        reg = ridgeline.regularize(model, L1(0.01), optimizer=optimizer)
        step = stepping(model, optimizer, reg.penalty)
        torch.manual_seed(3)
        step(0)
        if asked:
            reg.response(step, [0.01, 1.0], steps=2)
        step(1)
        found.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_a_step_that_raises_sets_everything_back() -> None:
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="coupled")
    whole = stepping(model, optimizer)

    def broken(i: int) -> None:
        whole(i)
        raise OSError("the loader died")

    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(OSError, match="loader"):
        reg.response(broken)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    whole(0)


def test_a_noisy_step_hides_a_weak_penalty() -> None:
    """What cannot be set back, such as an iterator over batches, is the noise."""
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(1e-5), optimizer=optimizer, mode="coupled")
    seeds = iter(range(1_000))

    def step(i: int) -> None:
        optimizer.zero_grad()
        x = X[i % 8] + torch.randn(X[0].shape, generator=torch.Generator().manual_seed(next(seeds)))
        nn.functional.cross_entropy(model(x), Y[i % 8]).backward()
        optimizer.step()

    row = reg.response(step).rows[0]
    assert row["verdict"] == "negligible"
    assert row["noise"] > 0.1 * row["by_data"]


def test_an_optimizer_that_the_regularizer_does_not_know_is_found() -> None:
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(0.05))
    before = [p.detach().clone() for p in model.parameters()]
    assert reg.response(stepping(model, optimizer, reg.penalty)).overall == {"as set": "acting"}
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

    class Hidden:
        def __call__(self, i: int) -> None:
            return None

    with pytest.raises(ValueError, match=r"found none: pass it in also=\[optimizer\]"):
        reg.response(Hidden())
    with pytest.raises(ValueError, match="int in also= has no state_dict"):
        reg.response(Hidden(), also=[1])


@pytest.mark.parametrize(
    ("strengths", "steps", "match"),
    [
        ([], 5, "finite numbers above 0"),
        ([0.0], 5, "finite numbers above 0"),
        ([float("nan")], 5, "finite numbers above 0"),
        ([0.1, -1.0], 5, "finite numbers above 0"),
        ([1e38], 5, r"up to 1e\+30"),
        (0.1, 5, "strengths is 0.1; give a list"),
        ("0.1", 5, "strengths is '0.1'; give a list"),
        ([None], 5, "give a list"),
        (None, 0, "whole number"),
    ],
)
def test_bad_requests(strengths: Any, steps: int, match: str) -> None:
    model = network()
    reg = ridgeline.regularize(model, L2(0.1))
    with pytest.raises(ValueError, match=match):
        reg.response(lambda i: None, strengths, steps=steps)


def test_strengths_of_any_order_and_kind_are_numbers_and_run_once() -> None:
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(0.05), optimizer=optimizer, mode="coupled")
    found = reg.response(stepping(model, optimizer), torch.tensor([0.5, 0.25, 0.5]), steps=1)  # type: ignore[arg-type]
    assert found.overall == {0.5: "acting", 0.25: "acting"}
    assert len(found.rows) == 2 * 4


def test_a_first_step_that_moves_nothing_says_nothing() -> None:
    """Learning rate 0 at the start of a warm-up, or an overflow: 0 over 0 is not infinitely far."""
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: i / 10)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="decoupled")
    plain = stepping(model, optimizer)

    def step(i: int) -> None:
        plain(i)
        scheduler.step()

    assert reg.response(step).overall == {"as set": "acting"}
    still = reg.response(step, steps=1).rows[0]
    assert still["verdict"] == "dead"
    assert still["sentence"].endswith("does step_fn reach optimizer.step(), at a learning rate above 0?")


def test_a_forgotten_penalty_is_asked_for() -> None:
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer)
    row = reg.response(stepping(model, optimizer)).rows[0]
    assert row["verdict"] == "dead"
    assert row["sentence"].endswith("does step_fn add reg.penalty() to the loss?")


def test_data_that_diverge_alone_are_not_the_penalty() -> None:
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="coupled")

    def step(i: int) -> None:
        optimizer.zero_grad()
        (model(X[i % 8]).sum() * float("nan")).backward()
        optimizer.step()

    row = reg.response(step).rows[0]
    assert row["verdict"] == "negligible"
    assert row["sentence"].startswith("without the penalty the weights end infinite or NaN")


def test_what_drifts_from_run_to_run_is_noise() -> None:
    """A state out of reach that grows: later runs are further off, and the penalty has no part in it."""
    model = network()
    optimizer = sgd(model)
    reg = ridgeline.regularize(model, L2(1e-7), optimizer=optimizer, mode="coupled")
    batches = iter(range(1, 10_000))

    def step(i: int) -> None:
        optimizer.zero_grad()
        (nn.functional.cross_entropy(model(X[i % 8]), Y[i % 8]) * 0.01 * next(batches)).backward()
        optimizer.step()

    found = reg.response(step, [1e-7, 1e-6])
    assert set(found.overall.values()) == {"negligible"}
    assert "so step_fn depends on more than its number" in found.title


def measured(**changes: float) -> Measured:
    usual = {"by_data": 1.0, "by_penalty": 0.1, "noise": 0.0, "tenfold": 1.0, "utmost": 1.0, "first": 0.1}
    return Measured(**{**usual, "without_data": 0.0, **changes})


@pytest.mark.parametrize(
    ("changes", "verdict", "sentence"),
    [
        ({}, "acting", "it moves the weights 0.1 times as far as the data does"),
        ({"tenfold": 0.095}, "saturated", "ten times the strength moves only 5.0% less far"),
        ({"tenfold": 0.105}, "saturated", "ten times the strength moves only 5.0% further"),
        (
            {"by_penalty": 6e-3, "tenfold": 5.7e-3},
            "negligible",
            "it changes hardly more than rounding does, and no more at ten times the strength",
        ),
        (
            {"by_penalty": 0.0, "tenfold": 0.0},
            "negligible",
            "it changes not one weight; far more strength would",
        ),
        ({"by_data": 0.0}, "dominating", "the penalty moves the weights, and the data does not"),
        (
            {"first": 12.0},
            "dominating",
            "in the first step it moves the weights 12 times as far as the data does",
        ),
        (
            {"by_penalty": 1e9, "tenfold": 1e10},
            "dominating",
            "it moves the weights 1e+09 times as far as the data does",
        ),
        (
            {"tenfold": float("inf")},
            "acting",
            "it moves the weights 0.1 times as far as the data does; ten times the strength makes them infinite or NaN",
        ),
        ({"tenfold": 0.01}, "acting", None),
        ({"by_penalty": float("nan")}, "dominating", "the weights are no longer finite"),
    ],
)
def test_words_for_numbers(changes: dict[str, float], verdict: str, sentence: str | None) -> None:
    found = judge(measured(**changes))
    assert found["verdict"] == verdict
    assert sentence is None or found["sentence"] == sentence


def test_nothing_to_change_is_refused() -> None:
    for penalty in (L2(0.0), MaxNorm(1.0)):
        model = network()
        optimizer = sgd(model)
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode="coupled")
        with pytest.raises(ValueError, match="no strength to change"):
            reg.response(stepping(model, optimizer))


def test_sums_keep_their_proportions() -> None:
    assert overall(L1(1e-4) + L2(0.05), "coupled", sgd) == ["acting"]
    with pytest.raises(ValueError, match="cannot give one strength to"):
        overall(L1(1e-4) + L2(0.05), "coupled", sgd, 0.1)
    assert overall(L2(0.05) + MaxNorm(5.0), "coupled", sgd, 0.05) == ["acting"]


def test_it_prints() -> None:
    model = network()
    optimizer = adam(model)
    reg = ridgeline.regularize(model, Norm(10.0), optimizer=optimizer)
    text = str(reg.response(stepping(model, optimizer, reg.penalty), [10.0]))
    assert "5 steps from one state" in text
    assert "saturated: ten times the strength moves only" in text
