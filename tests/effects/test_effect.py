"""reg.effect(loss): norms and shares against hand-made steps, verdicts of planted cases, nothing left behind."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, L2, GroupLasso, MaxNorm, Norm, schedules
from ridgeline.penalties import Penalty
from ridgeline.select import Mode

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1)).double()
Y = torch.randn(32, 2, generator=torch.Generator().manual_seed(2)).double()


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)).double()


def weight(model: nn.Module, place: int) -> Tensor:
    return model.get_parameter(f"{place}.weight")


def data_loss(model: nn.Module) -> Tensor:
    return nn.functional.mse_loss(model(X), Y)


OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.0),
}
MODES: tuple[Mode, ...] = ("loss", "coupled", "decoupled", "independent", "proximal")


def stepped(model: nn.Module, optimizer: Any, reg: Any, mode: str) -> None:
    optimizer.zero_grad()
    loss = data_loss(model)
    (loss + reg.penalty() if mode == "loss" and reg is not None else loss).backward()
    optimizer.step()


@pytest.mark.parametrize("penalty", [L2(0.3), L1(0.1)], ids=["L2", "L1"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_the_share_is_that_of_two_real_steps(kind: str, mode: Mode, penalty: Penalty) -> None:
    """After some steps, so that the optimizer has a state; the twins take the next step with and without."""
    model = network()
    optimizer = OPTIMIZERS[kind](model.parameters())
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
    for _ in range(3):
        stepped(model, optimizer, reg, mode)
    rows = {row["name"]: row for row in reg.effect(data_loss(model)).rows}
    twin, bare = copy.deepcopy((model, optimizer, reg)), copy.deepcopy((model, optimizer))
    twin[2].bind(twin[0], twin[1])
    stepped(*twin, mode)
    stepped(*bare, None, mode)
    for name, w in model.named_parameters():
        if name not in rows:
            assert "bias" in name
            continue
        with_, without = twin[0].get_parameter(name) - w, bare[0].get_parameter(name) - w
        change = (with_ - without).norm()
        assert rows[name]["share"] == pytest.approx(
            float((change / (change + without.norm())).detach()), rel=1e-6
        )
        assert rows[name]["verdict"] == ("dominating" if rows[name]["share"] > 0.9 else "acting")


def test_gradients_are_those_of_autograd() -> None:
    model = network()
    reg = ridgeline.regularize(model, L2(0.3) + L1(0.1))
    rows = reg.effect(data_loss(model)).rows
    grads = torch.autograd.grad(data_loss(model), [weight(model, 0), weight(model, 2)])
    for row, w, g in zip(rows, (weight(model, 0), weight(model, 2)), grads, strict=True):
        expected = float((0.3 * w + 0.1 * w.sign()).norm().detach())
        assert row["data_gradient"] == pytest.approx(float(g.norm()))
        assert row["penalty_gradient"] == pytest.approx(expected)
        assert row["ratio"] == pytest.approx(expected / float(g.norm()))
        assert row["share"] == pytest.approx(expected / (expected + float(g.norm())))


def everything(model: nn.Module, optimizer: Any) -> list[Tensor]:
    found = [t.clone() for t in [*model.state_dict().values(), *(p.grad for p in model.parameters())]]
    found += [v.clone() for s in optimizer.state.values() for v in s.values() if isinstance(v, Tensor)]
    return [*found, torch.get_rng_state()]


def test_nothing_is_left_behind() -> None:
    model = network()
    optimizer = OPTIMIZERS["Adam"](model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    reg = ridgeline.regularize(model, L2(schedules.warmup(0.3, 10)), optimizer=optimizer, mode="decoupled")
    stepped(model, optimizer, reg, "decoupled")
    scheduler.step()
    before, hooks = everything(model, optimizer), dict(optimizer._optimizer_step_pre_hooks)
    loss = data_loss(model)
    first, again = reg.effect(loss), reg.effect(loss)
    assert first.rows == again.rows
    loss.backward()  # the graph is still there
    for p in model.parameters():
        assert p.grad is not None
    after = everything(model, optimizer)
    count = len(list(model.parameters()))
    grads = slice(len(model.state_dict()), len(model.state_dict()) + count)
    del before[grads], after[grads]  # backward wrote those
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert dict(optimizer._optimizer_step_pre_hooks) == hooks


def verdict(model: nn.Module, penalty: Penalty, mode: Mode = "coupled", **settings: Any) -> dict[str, Any]:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode, **settings)
    return {row["name"]: (row["verdict"], row["sentence"]) for row in reg.effect(data_loss(model)).rows}


def test_planted_cases_get_their_verdict() -> None:
    assert {v for v, _ in verdict(network(), L2(0.1)).values()} == {"acting"}
    assert {v for v, _ in verdict(network(), L2(1e-9)).values()} == {"negligible"}
    assert {v for v, _ in verdict(network(), L2(1e4)).values()} == {"dominating"}
    assert {v for v, _ in verdict(network(), GroupLasso(0.1)).values()} == {"acting"}
    zero = network()
    nn.init.zeros_(weight(zero, 2))
    assert verdict(zero, L2(0.1))["2.weight"] == (
        "dead",
        "all its weights are 0, where the penalty does not pull; it acts once the data moves them",
    )
    assert verdict(network(), MaxNorm(1e-3))["0.weight"][0] == "dominating"
    assert verdict(network(), MaxNorm(1e9))["0.weight"] == ("dead", "the penalty's gradient is 0")
    assert verdict(network(), L2(schedules.warmup(0.1, 5)))["0.weight"] == (
        "dead",
        "the penalty's gradient is 0",
    )


def test_a_tensor_that_the_loss_does_not_reach() -> None:
    """peers.md §2: coupled skips tensors without a gradient; the penalty there does nothing, silently."""

    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Linear(6, 2).double(), nn.Linear(6, 2).double()

        def forward(self, x: Tensor) -> Any:
            return self.used(x)

    found = verdict(Unused(), L2(0.1))
    assert found["used.weight"][0] == "acting"
    assert found["idle.weight"] == (
        "dead",
        "the loss does not reach it, so the optimizer leaves it out, and its penalty too",
    )
    assert verdict(Unused(), L2(0.1), mode="loss")["idle.weight"][0] == "dominating"


def test_a_learning_rate_of_0_is_named() -> None:
    """As at the start of a warm-up."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: i / 10)
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer, mode="decoupled")
    row = reg.effect(data_loss(model)).rows[0]
    assert (row["verdict"], row["sentence"]) == (
        "dead",
        "the learning rate is 0 at this moment; ask again when it is not",
    )


@pytest.mark.parametrize("bound", [True, False])
def test_a_tensor_that_was_frozen_since(bound: bool) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1) if bound else None
    reg = ridgeline.regularize(model, L2(0.1), optimizer=optimizer)
    weight(model, 0).requires_grad_(False)
    rows = reg.effect(data_loss(model)).rows
    assert (rows[0]["verdict"], rows[0]["sentence"]) == ("dead", "frozen: nothing moves it")
    assert rows[1]["verdict"] == "acting"


def test_independent_remembers_the_first_rate() -> None:
    """A rate that was lowered by hand, without initial_lr: the decay is lowered along."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L2(0.01), optimizer=optimizer, mode="independent")
    before = [row["share"] for row in reg.effect(data_loss(model)).rows]
    optimizer.param_groups[0]["lr"] = 0.001
    assert [row["share"] for row in reg.effect(data_loss(model)).rows] == pytest.approx(before, rel=1e-6)


def test_a_loss_that_is_no_number_is_not_called_acting() -> None:
    found = network()
    reg = ridgeline.regularize(found, L2(0.1), optimizer=torch.optim.SGD(found.parameters(), lr=0.1))
    for row in reg.effect(data_loss(found) * float("nan")).rows:
        assert row["verdict"] == "negligible"
        assert row["sentence"] == "the data's gradient is infinite or NaN, so nothing is seen of the penalty"


def test_without_an_optimizer_nothing_is_said_of_steps() -> None:
    model = network()
    text = str(ridgeline.regularize(model, L2(1e-8)).effect(data_loss(model)))
    assert "share of gradient" in text
    assert "the penalty's gradient is 1e-08 of its size" in text
    assert "a step moves" not in text


class Own(torch.optim.SGD):
    """A person's optimizer: an attribute of its own, and noise in each step."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr=lr)
        self.size = 1e-3

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for p in self.param_groups[0]["params"]:
            p.add_(self.size * torch.randn_like(p))
        return super().step(closure)


class Twice(torch.optim.SGD):
    """One that needs a closure."""

    def step(self, closure: Any = None) -> Any:
        closure()
        return super().step(closure)


def test_optimizers_of_ones_own() -> None:
    """With an attribute, and noise, which is the same with the penalty and without."""
    model = network()
    reg = ridgeline.regularize(model, L2(1e-6), optimizer=Own(model.parameters(), lr=0.1), mode="coupled")
    drawn = torch.get_rng_state()
    assert all(row["share"] < 1e-4 for row in reg.effect(data_loss(model)).rows)
    assert torch.equal(torch.get_rng_state(), drawn)
    reg.remove()
    reg = ridgeline.regularize(model, L2(1e-6), optimizer=Twice(model.parameters(), lr=0.1), mode="coupled")
    with pytest.raises(
        RuntimeError, match=r"a copy of Twice, and that failed .*; ask reg\.response\(step_fn\)"
    ):
        reg.effect(data_loss(model))


def test_parametrized_weights_act_by_their_leaves() -> None:
    model = network()
    nn.utils.parametrizations.weight_norm(model[0])
    rules = [ridgeline.Rule("0.weight", Norm(0.1)), ridgeline.Rule("2.weight", L2(0.1))]
    for mode in ("loss", "coupled"):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        reg = ridgeline.regularize(model, rules, optimizer=optimizer, mode=mode)
        rows = {row["name"]: row for row in reg.effect(data_loss(model)).rows}
        assert rows["0.weight"]["verdict"] == "acting"
        reg.remove()


def test_bad_losses_are_refused() -> None:
    model = network()
    reg = ridgeline.regularize(model, L2(0.1))
    with pytest.raises(ValueError, match=r"data loss alone, and this one contains reg\.penalty\(\)"):
        reg.effect(data_loss(model) + reg.penalty())
    with pytest.raises(ValueError, match="needs the graph"):
        reg.effect(data_loss(model).detach())
    used = data_loss(model)
    used.backward()
    with pytest.raises(ValueError, match=r"a backward pass has freed it: ask before backward\(\)"):
        reg.effect(used)
    with pytest.raises(ValueError, match="one number"):
        reg.effect(model(X))
    with pytest.raises(ValueError, match="one number"):
        reg.effect(0.5)  # type: ignore[arg-type]  # what people do


def test_it_prints_and_shows() -> None:
    model = network()
    reg = ridgeline.regularize(model, L2(0.1))
    found = reg.effect(data_loss(model))
    assert found.title == "The penalty at 2 tensors: 2 acting"
    assert "0.weight" in str(found)
    assert "acting: the penalty is" in str(found)
    assert "<td>2.weight</td>" in found._repr_html_()
