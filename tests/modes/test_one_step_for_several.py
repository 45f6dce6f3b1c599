"""One step that several act in: regularizers, hooks of the person's own, a subclass' super().step()."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import ridgeline
from ridgeline import L1, L2, L2SP, GroupLasso, Norm, Rule


def ones(layers: int = 2) -> nn.Sequential:
    model = nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(layers)))
    for p in model.parameters():
        nn.init.ones_(p)
    return model


def idle_steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int = 2) -> list[float]:
    """Steps without a data gradient; the first weight of each tensor."""
    for _ in range(count):
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        optimizer.step()
    return [float(p.detach().flatten()[0]) for p in model.parameters()]


@pytest.mark.parametrize("first", [0, 1])
def test_two_regularizers_each_act_once(first: int) -> None:
    model = ones()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    regs = [
        ridgeline.regularize(model, [Rule(f"{k}.weight", L2(1.0))], optimizer=optimizer, mode="coupled")
        for k in (first, 1 - first)
    ]
    assert idle_steps(model, optimizer) == pytest.approx([0.81, 0.81])
    (group,) = optimizer.param_groups
    assert group["weight_decay"] == 0
    for reg in regs:
        reg.remove()
    assert idle_steps(model, optimizer) == pytest.approx([0.81, 0.81])
    assert all(not str(key).startswith("_") for key in optimizer.state_dict()["param_groups"][0])


def test_a_step_that_raised_hides_no_penalty_of_the_next() -> None:
    model = ones()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for k in (0, 1):
        ridgeline.regularize(model, [Rule(f"{k}.weight", L2(1.0))], optimizer=optimizer, mode="decoupled")

    def broken() -> float:
        raise OSError("the loader died")

    with pytest.raises(OSError, match="loader"):
        optimizer.step(broken)
    assert idle_steps(model, optimizer) == pytest.approx([0.81, 0.81])


def test_one_tensor_in_two_regularizers_is_said() -> None:
    """A notebook's cell run twice."""
    model = ones(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L2(1.0), optimizer=optimizer, mode="decoupled")
    with pytest.warns(UserWarning, match=r"0\.weight is penalised by another regularizer of this optimizer"):
        ridgeline.regularize(model, L2(1.0), optimizer=optimizer, mode="decoupled")
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.81])
    reg.remove()
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.729])


def test_what_is_set_during_the_step_stays() -> None:
    model = ones(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)

    def halve(o: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        for group in o.param_groups:
            group["lr"] *= 0.5

    optimizer.register_step_post_hook(halve)
    ridgeline.regularize(model, L2(0.01), optimizer=optimizer, mode="coupled")
    idle_steps(model, optimizer, 3)
    assert optimizer.param_groups[0]["lr"] == 0.125


class Clipped(torch.optim.SGD):
    """A subclass as people write it; torch runs the hooks of both steps."""

    def step(self, closure: Any = None) -> Any:
        return super().step(closure)


@pytest.mark.parametrize("mode", ["coupled", "decoupled", "proximal"])
def test_a_step_within_a_step_is_one(mode: Any) -> None:
    torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1.0)  # from then on torch hooks its class too
    found = []
    for kind in (torch.optim.SGD, Clipped):
        model = ones(1)
        optimizer = kind(model.parameters(), lr=0.1)
        reg = ridgeline.regularize(model, L1(0.5), optimizer=optimizer, mode=mode)
        found.append(idle_steps(model, optimizer, 3))
        assert reg.state_dict()["clock"] == 3
    assert found[0] == found[1]


def test_native_decay_beside_a_rate_that_follows_the_schedule() -> None:
    model = ones()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.0)
    rules = [Rule("0.weight", L2(0.5), mode="decoupled"), Rule("1.weight", L2(0.1), mode="independent")]
    ridgeline.regularize(model, rules, optimizer=optimizer)
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.95, 0.9])


def test_a_closure_called_twice_decays_once() -> None:
    class Twice(torch.optim.SGD):
        def step(self, closure: Any = None) -> Any:
            closure()
            return super().step(closure)

    model = ones(1)
    optimizer = Twice(model.parameters(), lr=0.1)
    ridgeline.regularize(model, L2(1.0), optimizer=optimizer, mode="independent")

    def closure() -> float:
        for p in model.parameters():
            p.grad = torch.zeros_like(p)
        return 0.0

    optimizer.step(closure)
    assert float(model.get_parameter("0.weight").detach()[0, 0]) == pytest.approx(
        0.0
    )  # (η/η₀)λ = 1: all of it, once


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_step_takes_each_tensors_own_metric() -> None:
    found = []
    for compiled in (False, True):
        model = nn.ParameterDict({k: nn.Parameter(torch.linspace(-1, 1, 8).view(2, 4)) for k in "wv"})
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        ridgeline.regularize(model, [Rule("*", L1(0.01))], optimizer=optimizer, mode="proximal")
        step = torch.compile(optimizer.step, backend="eager") if compiled else optimizer.step
        for _ in range(3):
            model["w"].grad, model["v"].grad = torch.full((2, 4), 0.1), torch.arange(8.0).view(2, 4) * 0.1
            step()
        found.append([p.detach().clone() for p in model.parameters()])
    for ours, plain in zip(*found, strict=True):
        torch.testing.assert_close(ours, plain)


def test_references_are_copies_and_outlive_remove() -> None:
    for reference in ("state_dict", None):
        model = ones(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        penalty = L2SP(1.0, reference=model.state_dict() if reference else None)
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode="coupled")
        with torch.no_grad():
            model.get_parameter("0.weight").fill_(3.0)
        assert float(reg.penalty()) == pytest.approx(8.0)
        reg.remove()
        assert float(reg.bind(model, optimizer).penalty()) == pytest.approx(8.0)


def test_the_first_rate_outlives_a_bind_and_a_checkpoint() -> None:
    model = ones(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, L2(0.5), optimizer=optimizer, mode="independent")
    optimizer.param_groups[0]["lr"] = 0.01
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.95])
    reg.bind(model, optimizer)
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.9025])
    again = ones(1)
    other = torch.optim.SGD(again.parameters(), lr=0.01)
    own = ridgeline.regularize(again, L2(0.5), optimizer=other, mode="independent")
    own.load_state_dict(reg.state_dict())
    assert idle_steps(again, other, 1) == pytest.approx([0.95])
    with pytest.raises(ValueError, match=r"give what reg\.state_dict"):
        own.load_state_dict({})


def test_an_exchanged_layer_is_noticed_by_the_next_reading() -> None:
    model = ones()
    reg = ridgeline.regularize(model, L2(0.5))
    model[1] = nn.Linear(2, 2)
    with pytest.raises(RuntimeError, match=r"1\.weight of the model was exchanged"):
        reg.penalty()


def test_pruning_afterwards_is_noticed() -> None:
    model = ones(1)
    reg = ridgeline.regularize(model, L2(0.5))
    prune.l1_unstructured(model[0], "weight", amount=1)
    with pytest.raises(RuntimeError, match=r"0\.weight is no parameter any more"):
        reg.penalty()


def test_a_layer_that_thaws_is_said_once() -> None:
    model = ones()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ridgeline.regularize(model, L2(0.5), optimizer=optimizer, mode="coupled")
    model[0].requires_grad_(True)
    with pytest.warns(UserWarning, match=r"0\.weight was frozen when the model was regularized"):
        idle_steps(model, optimizer, 1)
    idle_steps(model, optimizer, 1)


def test_a_strength_that_is_trained_has_its_gradient() -> None:
    strength = torch.tensor(0.1, requires_grad=True)
    model = ones(1)
    ridgeline.regularize(model, L2(strength)).penalty().backward()
    assert strength.grad is not None
    assert float(strength.grad) == pytest.approx(2.0)


def test_nan_stays_nan() -> None:
    w, step = torch.tensor([[float("nan"), 1.0], [1.0, 1.0]]), torch.ones(2, 2)
    assert GroupLasso(1e-6).prox(w, step)[0].isnan().any()
    assert Norm(1e-6).prox(w, step).isnan().any()


def test_high_norms_of_small_weights() -> None:
    w = torch.full((3,), 0.01)
    assert float(Norm(1.0, p=50).value(w)) == pytest.approx(0.01 * 3 ** (1 / 50), rel=1e-5)
    assert torch.allclose(Norm(1.0, p=50).gradient(w), torch.tensor(3 ** (-49 / 50)), rtol=1e-4)


def test_a_subclass_keeps_its_own_formulas() -> None:
    class Cubic(L2):
        def value(self, w: torch.Tensor) -> torch.Tensor:
            return w.abs().pow(3).sum()

        def gradient(self, w: torch.Tensor) -> torch.Tensor:
            return 3 * w * w.abs()

    model = ones(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    reg = ridgeline.regularize(model, Cubic(1.0), optimizer=optimizer, mode="coupled")
    assert float(reg.penalty()) == pytest.approx(4.0)
    assert idle_steps(model, optimizer, 1) == pytest.approx([0.7])


def test_what_a_step_cannot_do_is_refused_when_attached() -> None:
    model = ones(1)
    adam = torch.optim.Adam(model.parameters())
    with pytest.raises(ValueError, match="Nuclear has no proximal operator in the metric of Adam"):
        ridgeline.regularize(model, ridgeline.Nuclear(0.1), optimizer=adam, mode="proximal")
    with pytest.raises(ValueError, match=r"0\.weight: GroupLasso: dim=5 does not exist"):
        ridgeline.regularize(model, GroupLasso(0.1, dim=5))
    with pytest.raises(ValueError, match="names a mode"):
        ridgeline.param_groups(model, [Rule("*", L2(0.1), mode="proximal")])


def test_sparse_gradients_of_a_dense_layer_are_refused_with_the_reason() -> None:
    table = nn.Embedding(5, 2)
    optimizer = torch.optim.SGD(table.parameters(), lr=0.1)
    ridgeline.regularize(table, L1(0.1), optimizer=optimizer, mode="coupled")
    nn.functional.embedding(torch.tensor([1]), table.weight, sparse=True).sum().backward()
    with pytest.raises(ValueError, match="weight has a sparse gradient, and a penalty on all its rows"):
        optimizer.step()


def test_a_state_of_other_rules_or_another_model_is_refused() -> None:
    model = nn.Linear(3, 2)
    reg = ridgeline.regularize(model, ridgeline.L2SP(0.1))
    kept = reg.state_dict()
    with pytest.raises(ValueError, match="no reference for weight"):
        reg.load_state_dict({**kept, "references": {}})
    with pytest.raises(ValueError, match=r"has shape \(1, 1\), the parameter \(2, 3\)"):
        reg.load_state_dict({**kept, "references": {"weight": torch.zeros(1, 1)}})
