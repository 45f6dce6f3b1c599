"""Mode "coupled": the gradient of "loss" for every optimizer, and torch's own weight decay for L2."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

import ridgeline
from ridgeline.penalties import L2, Penalty
from tests.modes.worlds import (
    OPTIMIZERS,
    PENALTIES,
    biases,
    close,
    data_loss,
    equal,
    grads,
    network,
    plain,
    state,
    steps,
    weights,
)

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


@every_optimizer
@pytest.mark.parametrize("penalty", ["L1", "L2 as a tensor", "ElasticNet", "L1+GroupLasso"])
def test_coupled_is_loss_for_every_optimizer(name: str, penalty: str) -> None:
    model, twin = network(), network()
    optimizer, other = (OPTIMIZERS[name](net.parameters()) for net in (model, twin))
    reg = ridgeline.regularize(model, PENALTIES[penalty], optimizer=optimizer, mode="coupled")
    steps(model, optimizer, 5)
    steps(twin, other, 5, lambda: plain(PENALTIES[penalty], weights(twin)))
    assert close(model.parameters(), twin.parameters(), rtol=1e-8, atol=1e-10)
    value = reg.penalty()
    assert not value.requires_grad
    assert torch.allclose(value, plain(PENALTIES[penalty], weights(model)), rtol=1e-12)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_coupled_is_loss_for_muon() -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.Muon(weights(net), lr=0.01, weight_decay=0.0) for net in (model, twin))
    ridgeline.regularize(model, PENALTIES["L1"], optimizer=optimizer, mode="coupled")
    steps(model, optimizer, 5)
    steps(twin, other, 5, lambda: plain(PENALTIES["L1"], weights(twin)))
    assert close(model.parameters(), twin.parameters(), rtol=1e-8, atol=1e-10)


WITH_DECAY: dict[str, Any] = {
    "SGD": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "SGD fused": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "fused": True}),
    "Adam": (torch.optim.Adam, {"lr": 0.01}),
    "Adam fused": (torch.optim.Adam, {"lr": 0.01, "fused": True}),
    "NAdam": (torch.optim.NAdam, {"lr": 0.01}),
    "RAdam": (torch.optim.RAdam, {"lr": 0.01}),
    "Adamax": (torch.optim.Adamax, {"lr": 0.01}),
    "Adagrad": (torch.optim.Adagrad, {"lr": 0.01}),
    "Adadelta": (torch.optim.Adadelta, {"lr": 0.5}),
    "RMSprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "ASGD": (torch.optim.ASGD, {"lr": 0.05}),
}


@pytest.mark.parametrize("grouped", [True, False])
@pytest.mark.parametrize("name", WITH_DECAY)
def test_l2_is_torchs_weight_decay(name: str, grouped: bool) -> None:
    """Whether the rule covers a whole group or a part of one; a group's own settings stay as they were."""
    kind, settings = WITH_DECAY[name]
    model, twin = network(), network()
    split = [{"params": weights(twin), "weight_decay": 0.2}, {"params": biases(twin), "weight_decay": 0.0}]
    other = kind(split, **settings)
    groups = [{"params": weights(model)}, {"params": biases(model)}] if grouped else model.parameters()
    optimizer = kind(groups, **settings)
    reg = ridgeline.regularize(model, L2(0.2), optimizer=optimizer, mode="coupled")
    steps(model, optimizer, 6)
    steps(twin, other, 6)
    assert all(g["weight_decay"] == 0 for g in optimizer.param_groups)
    assert equal(model.parameters(), twin.parameters())
    assert close(model.parameters(), twin.parameters(), rtol=1e-9, atol=1e-12)
    reg.remove()
    assert all(g["weight_decay"] == 0 for g in optimizer.param_groups)
    for g in other.param_groups:
        g["weight_decay"] = 0.0
    steps(model, optimizer, 3)
    steps(twin, other, 3)
    assert close(model.parameters(), twin.parameters(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("penalty", [L2(0.2), PENALTIES["L1"]], ids=["native", "hook"])
@pytest.mark.parametrize("maximize", [False, True])
def test_maximize_still_shrinks(penalty: Penalty, maximize: bool) -> None:
    """Maximising f − R: the twin ascends on the loss with the penalty subtracted."""
    model, twin = network(), network()
    groups = [{"params": weights(model)}, {"params": biases(model)}]
    optimizer = torch.optim.SGD(groups, lr=0.01, maximize=maximize)
    other = torch.optim.SGD(twin.parameters(), lr=0.01, maximize=maximize)
    ridgeline.regularize(model, penalty, optimizer=optimizer, mode="coupled")
    sign = -1.0 if maximize else 1.0
    steps(model, optimizer, 4)
    steps(twin, other, 4, lambda: sign * plain(penalty, weights(twin)))
    assert close(model.parameters(), twin.parameters(), rtol=1e-10)


@pytest.mark.parametrize("maximize", [False, True])
def test_a_parametrized_weight_is_penalised_as_the_layer_uses_it(maximize: bool) -> None:
    model, twin = network(), network()
    for net in (model, twin):
        nn.utils.parametrizations.weight_norm(net[0])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, maximize=maximize)
    other = torch.optim.SGD(twin.parameters(), lr=0.01, maximize=maximize)
    ridgeline.regularize(model, PENALTIES["L1"], optimizer=optimizer, mode="coupled")
    sign = -1.0 if maximize else 1.0

    def term() -> torch.Tensor:
        used = [layer.weight for layer in (twin[0], twin[2])]
        return sign * plain(PENALTIES["L1"], [w for w in used if isinstance(w, torch.Tensor)])

    steps(model, optimizer, 4)
    steps(twin, other, 4, term)
    assert close(model.parameters(), twin.parameters(), rtol=1e-10)


def test_each_group_has_its_own_learning_rate_and_schedule() -> None:
    model, twin = network(), network()
    pair = []
    for net in (model, twin):
        groups = [{"params": net[0].parameters(), "lr": 0.1}, {"params": net[2].parameters(), "lr": 0.01}]
        pair.append(torch.optim.SGD(groups, lr=1.0, momentum=0.9))
    ridgeline.regularize(model, PENALTIES["ElasticNet"], optimizer=pair[0], mode="coupled")
    plans = [lr_scheduler.StepLR(o, step_size=2, gamma=0.5) for o in pair]
    for k in range(6):
        for net, optimizer, plan in zip((model, twin), pair, plans, strict=True):
            optimizer.zero_grad()
            more = plain(PENALTIES["ElasticNet"], weights(net)) if net is twin else 0.0
            (data_loss(net, k) + more).backward()
            optimizer.step()
            plan.step()
    assert close(model.parameters(), twin.parameters(), rtol=1e-10)


def test_it_comes_after_clipping() -> None:
    """The documented order: what is clipped is the data's gradient; the penalty is added in step()."""
    model, twin = network(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ridgeline.regularize(model, PENALTIES["L2"], optimizer=optimizer, mode="coupled")
    data_loss(model).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    optimizer.step()
    data_loss(twin).backward()
    nn.utils.clip_grad_norm_(twin.parameters(), 0.01)
    plain(PENALTIES["L2"], weights(twin)).backward()
    torch.optim.SGD(twin.parameters(), lr=0.1).step()
    assert close(model.parameters(), twin.parameters())


@pytest.mark.parametrize("mode", ["coupled", "decoupled", "independent", "proximal"])
@pytest.mark.parametrize("penalty", ["L1", "L2"])
def test_tensors_without_a_gradient_are_skipped(mode: Any, penalty: str) -> None:
    """As torch's own weight decay skips them."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    ridgeline.regularize(model, PENALTIES[penalty], optimizer=optimizer, mode=mode)
    before = state(model)
    model[0](torch.ones(1, 4, dtype=torch.float64)).sum().backward()
    optimizer.step()
    after = state(model)
    assert not torch.equal(before[0], after[0])
    assert equal(before[2:], after[2:])


def test_accumulated_gradients_get_one_penalty_a_step() -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin))
    ridgeline.regularize(model, PENALTIES["L1"], optimizer=optimizer, mode="coupled")
    for k in range(3):
        (data_loss(model, k) / 3).backward()
        (data_loss(twin, k) / 3).backward()
    plain(PENALTIES["L1"], weights(twin)).backward()
    optimizer.step()
    other.step()
    assert close(model.parameters(), twin.parameters())
    assert close(grads(model), grads(twin))


def test_two_regularizers_on_one_optimizer() -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin))
    first = ridgeline.regularize(model, PENALTIES["L1"], optimizer=optimizer, mode="coupled")
    with pytest.warns(UserWarning, match="another regularizer of this optimizer"):
        second = ridgeline.regularize(model, PENALTIES["GroupLasso"], optimizer=optimizer, mode="coupled")
    both = PENALTIES["L1"] + PENALTIES["GroupLasso"]  # type: ignore[operator]
    steps(model, optimizer, 3)
    steps(twin, other, 3, lambda: plain(both, weights(twin)))
    assert close(model.parameters(), twin.parameters(), rtol=1e-10)
    first.remove()
    steps(model, optimizer, 3)
    steps(twin, other, 3, lambda: plain(PENALTIES["GroupLasso"], weights(twin)))
    assert close(model.parameters(), twin.parameters(), rtol=1e-10)
    assert float(second.penalty()) > 0
