"""assert_acting: every dead penalty is caught, no live one is, and nothing is changed by asking."""

import copy
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline import L1, L2, GroupLasso, Norm, assert_acting, regularize
from ridgeline.penalties import Penalty

Net: TypeAlias = Any  # a Sequential, whose items mypy takes for Tensor | Module
Term: TypeAlias = Callable[[Net], Tensor]

NO_GRADIENT = "the penalty has no gradient at all"
OTHER = "depends on none of the model's 4 parameters"
ZERO = "gradient is 0 for every parameter, also after a small move"


def net(zero: bool = False) -> Net:
    """Two linear layers, drawn from a fixed seed or all zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    if zero:
        for p in model.parameters():
            nn.init.zeros_(p)
    return model


def under_no_grad(model: Net) -> Tensor:
    with torch.no_grad():
        found: Tensor = model[0].weight.square().sum()
    return found


def fresh_draw(model: Net) -> Tensor:
    """S0's bug: the penalty of a new draw from the initialising distribution."""
    return torch.randn_like(model[0].weight).square().sum()


def trainable_draw(model: Net) -> Tensor:
    return torch.randn_like(model[0].weight).requires_grad_().square().sum()


DEAD: dict[str, tuple[Term, str]] = {
    "detached": (lambda m: m[0].weight.detach().square().sum(), NO_GRADIENT),
    "data": (lambda m: m[0].weight.data.abs().sum(), NO_GRADIENT),
    "no_grad": (under_no_grad, NO_GRADIENT),
    "number": (lambda m: m[0].weight.square().sum().item(), NO_GRADIENT),
    "fresh draw": (fresh_draw, NO_GRADIENT),
    "trainable draw": (trainable_draw, OTHER),
    "copy": (lambda m: copy.deepcopy(m)[0].weight.square().sum(), OTHER),
    "rewrapped": (lambda m: nn.Parameter(m[0].weight.detach().clone()).abs().sum(), OTHER),
    "another model": (lambda m: regularize(net(), L2(0.1)).penalty(), OTHER),
    "p = 0": (lambda m: torch.linalg.vector_norm(m[0].weight, 0), ZERO),
    "p = 0 of norm()": (lambda m: m[0].weight.norm(p=0), ZERO),
    "strength 0": (lambda m: 0.0 * m[0].weight.square().sum(), ZERO),
    "strength 0 of a norm": (lambda m: 0.0 * m[0].weight.norm(), ZERO),
    "constant": (lambda m: m[0].weight.sum() * 0 + 3, ZERO),
}

ALIVE: dict[str, Term] = {
    "L1": lambda m: m[0].weight.abs().sum(),
    "L2": lambda m: m[0].weight.square().sum(),
    "norm": lambda m: m[0].weight.norm(),
    "norms of rows": lambda m: m[0].weight.norm(dim=1).sum(),
    "vector_norm": lambda m: 3 * torch.linalg.vector_norm(m[0].weight),
    "norm of order 3": lambda m: torch.linalg.vector_norm(m[0].weight, 3),
    "sum over parameters": lambda m: sum((p.norm(2) for p in m.parameters()), torch.zeros(())),
    "bias only": lambda m: m[1].bias.square().sum(),
}

PENALTIES: tuple[Penalty, ...] = (L1(0.1), L2(0.1), Norm(0.1), Norm(0.1, p=3), GroupLasso(0.1), L1(1) + L2(1))


@pytest.mark.parametrize("zero", [False, True], ids=["drawn", "zero"])
@pytest.mark.parametrize("name", DEAD)
def test_a_dead_penalty_is_caught_as_tensor_and_as_function(name: str, zero: bool) -> None:
    term, message = DEAD[name]
    model = net(zero)
    with pytest.raises(AssertionError, match=message):
        assert_acting(term(model), model)
    with pytest.raises(AssertionError, match=message):
        assert_acting(lambda: term(model), model)


@pytest.mark.parametrize("zero", [False, True], ids=["drawn", "zero"])
@pytest.mark.parametrize("name", ALIVE)
def test_a_live_penalty_is_no_false_alarm(name: str, zero: bool) -> None:
    model = net(zero)
    assert_acting(ALIVE[name](model), model)
    assert_acting(lambda: ALIVE[name](model), model)


@pytest.mark.parametrize("zero", [False, True], ids=["drawn", "zero"])
@pytest.mark.parametrize("penalty", PENALTIES, ids=str)
def test_the_regularizers_own_penalty_is_no_false_alarm(penalty: Penalty, zero: bool) -> None:
    model = net(zero)
    reg = regularize(model, penalty)
    assert_acting(reg.penalty(), model)
    assert_acting(reg.penalty, model)


def test_the_regularizers_detached_penalty_of_a_step_mode_is_refused_as_a_loss_term() -> None:
    model = net()
    reg = regularize(model, L2(0.1), optimizer=torch.optim.SGD(model.parameters(), 0.1), mode="decoupled")
    with pytest.raises(AssertionError, match=NO_GRADIENT):
        assert_acting(reg.penalty(), model)


@pytest.mark.parametrize("zero", [False, True], ids=["drawn", "zero"])
@pytest.mark.parametrize("name", ["norm", "L2", "p = 0"])
def test_nothing_is_changed_by_asking(name: str, zero: bool) -> None:
    """Weights bit for bit, `.grad`, the generator; and backward goes on as if nobody had asked."""
    asked, plain = net(zero), net(zero)
    term = ALIVE[name] if name in ALIVE else DEAD[name][0]
    for model in (asked, plain):
        model(torch.ones(1, 3)).sum().backward()
    before = {n: (p.detach().clone(), p.grad) for n, p in asked.named_parameters()}
    values = {n: g.clone() for n, (_, g) in before.items() if g is not None}
    state = torch.get_rng_state()
    value = term(asked)
    try:
        assert_acting(value, asked)
        assert_acting(lambda: term(asked) * torch.rand(()), asked)
    except AssertionError:
        assert name == "p = 0"
    assert torch.equal(torch.get_rng_state(), state)
    for n, p in asked.named_parameters():
        assert torch.equal(p, before[n][0])
        assert p.grad is before[n][1]
        assert torch.equal(p.grad, values[n])
    value.backward()
    term(plain).backward()
    for p, q in zip(asked.parameters(), plain.parameters(), strict=True):
        assert p.grad is not None
        assert torch.equal(p.grad, q.grad)


def test_the_regularizers_graph_can_still_be_used() -> None:
    model = net()
    reg = regularize(model, L2(0.5))
    loss = model(torch.ones(1, 3)).sum() + reg.penalty()
    (data,) = torch.autograd.grad(model(torch.ones(1, 3)).sum(), [model[0].weight])
    assert_acting(loss, model)
    loss.backward()
    assert model[0].weight.grad is not None
    torch.testing.assert_close(model[0].weight.grad, data + 0.5 * model[0].weight)


def test_frozen_parameters_do_not_count() -> None:
    model = net()
    term = model[0].weight.square().sum()
    model[0].weight.requires_grad_(False)
    with pytest.raises(AssertionError, match="depends on none of the model's 3 parameters"):
        assert_acting(term, model)


def test_the_message_names_the_remedy() -> None:
    with pytest.raises(AssertionError, match=r"ridgeline\.regularize\(model, …\); loss \+ reg\.penalty\(\)"):
        assert_acting(torch.zeros(()), net())
    assert ridgeline.assert_acting is assert_acting
