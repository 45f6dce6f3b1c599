"""Mode "loss": `reg.penalty()` is a true differentiable number, equal to plain autograd whatever is asked."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.penalties import Penalty
from tests.modes.worlds import PENALTIES, close, data_loss, grads, network, plain, weights

Term = Callable[[], Tensor]
every_penalty = pytest.mark.parametrize("penalty", PENALTIES.values(), ids=PENALTIES)


def backward(model: nn.Module, term: Term) -> Any:
    (data_loss(model) + term()).backward()


def scaled(model: nn.Module, term: Term) -> Any:
    ((data_loss(model) + term()) * 1024).backward()


def accumulated(model: nn.Module, term: Term) -> Any:
    for k in range(3):
        ((data_loss(model, k) + term()) / 3).backward()


def retained(model: nn.Module, term: Term) -> Any:
    loss = data_loss(model) + term()
    loss.backward(retain_graph=True)
    loss.backward()


def alone(model: nn.Module, term: Term) -> Any:
    term().backward()


def asked(model: nn.Module, term: Term) -> Any:
    return torch.autograd.grad(data_loss(model) + term(), list(model.parameters()))


def asked_some(model: nn.Module, term: Term) -> Any:
    return torch.autograd.grad(data_loss(model) + term(), weights(model)[1:])


def inputs(model: nn.Module, term: Term) -> Any:
    (data_loss(model) + term()).backward(inputs=[weights(model)[0], *list(model.parameters())[-1:]])


def second_order(model: nn.Module, term: Term) -> Any:
    first = torch.autograd.grad(data_loss(model) + term(), list(model.parameters()), create_graph=True)
    torch.stack([g.square().sum() for g in first]).sum().backward()


def squared(model: nn.Module, term: Term) -> Any:
    (data_loss(model) + term() ** 2).backward()


def two_terms(model: nn.Module, term: Term) -> Any:
    (data_loss(model) * term() + 3 * term()).backward()


def exploded(model: nn.Module, term: Term) -> Any:
    (data_loss(model) + term().exp()).backward()


def unreached(model: nn.Module, term: Term) -> Any:
    """The data loss touches the first layer alone."""
    assert isinstance(model, nn.Sequential)
    (model[0](torch.ones(2, 4, dtype=torch.float64)).sum() + term()).backward()


def again_and_again(model: nn.Module, term: Term) -> Any:
    for _ in range(2):
        backward(model, term)
    model.zero_grad(set_to_none=False)
    backward(model, term)


def graph_kept(model: nn.Module, term: Term) -> Any:
    (data_loss(model) + term()).backward(create_graph=True)
    for p in model.parameters():
        assert p.grad is not None
        p.grad = p.grad.detach()


USES = [backward, scaled, accumulated, retained, alone, asked, asked_some, inputs, second_order, squared]
USES += [two_terms, exploded, unreached, again_and_again, graph_kept]


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
@pytest.mark.parametrize("use", USES, ids=[u.__name__ for u in USES])
@every_penalty
def test_it_equals_plain_autograd(penalty: Penalty, use: Callable[[nn.Module, Term], Any]) -> None:
    model, twin = network(), network()
    reg = ridgeline.regularize(model, penalty)
    found = use(model, reg.penalty)
    expected = use(twin, lambda: plain(penalty, weights(twin)))
    assert close(found or [], expected or [], rtol=1e-11)
    assert close(grads(model), grads(twin), rtol=1e-11)


@every_penalty
def test_its_value_is_the_sum_and_its_graph_one_node(penalty: Penalty) -> None:
    model = network()
    reg = ridgeline.regularize(model, penalty)
    value = reg.penalty()
    assert torch.allclose(value, plain(penalty, weights(model)), rtol=1e-13)
    assert value.grad_fn is not None
    parents = {type(node).__name__ for node, _ in value.grad_fn.next_functions if node is not None}
    assert parents == {"AccumulateGrad"}
    with torch.no_grad():
        assert not reg.penalty().requires_grad
        assert torch.allclose(reg.penalty(), value, rtol=1e-13)


def test_two_regularizers_of_one_model_add() -> None:
    model, twin = network(), network()
    first = ridgeline.regularize(model, PENALTIES["L1"])
    second = ridgeline.regularize(model, [ridgeline.Rule("0.*", PENALTIES["L2"])])
    (data_loss(model) + first.penalty() + 2 * second.penalty()).backward()
    other = plain(PENALTIES["L1"], weights(twin)) + 2 * plain(PENALTIES["L2"], twin[0].parameters())
    (data_loss(twin) + other).backward()
    assert close(grads(model), grads(twin))


def test_a_parameter_frozen_for_a_while_gets_its_penalty_again() -> None:
    model, twin = network(), network()
    reg = ridgeline.regularize(model, PENALTIES["L2"])
    for frozen in (True, False):
        for net in (model, twin):
            net.zero_grad()
            weights(net)[0].requires_grad_(not frozen)
        (data_loss(model) + reg.penalty()).backward()
        (data_loss(twin) + plain(PENALTIES["L2"], weights(twin))).backward()
        assert (weights(model)[0].grad is None) == frozen
        assert close(grads(model), grads(twin))


def test_a_parameter_frozen_at_first_joins_by_bind() -> None:
    model, twin = network(), network()
    weights(model)[0].requires_grad_(False)
    reg = ridgeline.regularize(model, PENALTIES["L2"])
    assert next(row for row in reg.audit().rows if row["name"] == "0.weight")["reason"] == "frozen"
    weights(model)[0].requires_grad_(True)
    reg.bind(model)
    (data_loss(model) + reg.penalty()).backward()
    (data_loss(twin) + plain(PENALTIES["L2"], weights(twin))).backward()
    assert close(grads(model), grads(twin))


def test_weights_changed_between_forward_and_backward_are_noticed() -> None:
    model = network()
    reg = ridgeline.regularize(model, PENALTIES["L2"])
    value = reg.penalty()
    with torch.no_grad():
        weights(model)[0].mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_lanes_give_one_value_each() -> None:
    stacked = nn.Linear(3, 5, bias=False, dtype=torch.float64)
    strength = torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    reg = ridgeline.regularize(stacked, ridgeline.L2(strength))
    value = reg.penalty()
    assert value.shape == (5,)
    (value * torch.arange(5.0)).sum().backward()
    assert stacked.weight.grad is not None
    assert torch.allclose(stacked.weight.grad, (strength * torch.arange(5.0))[:, None] * stacked.weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_other_dtypes(dtype: torch.dtype) -> None:
    model, twin = network(dtype=dtype), network(dtype=dtype)
    reg = ridgeline.regularize(model, ridgeline.ElasticNet(0.25, 0.5))
    value = reg.penalty()
    assert value.dtype == torch.float32
    value.backward()
    plain(ridgeline.ElasticNet(0.25, 0.5), weights(twin)).backward()
    assert close(grads(model), grads(twin), rtol=4 * torch.finfo(dtype).eps, atol=1e-6)
