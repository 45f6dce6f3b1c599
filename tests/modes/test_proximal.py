"""Mode "proximal": exact zeros, at the fixed point of the penalised objective, whatever the optimizer."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import ElasticNet as SklearnElasticNet
from sklearn.linear_model import Lasso as SklearnLasso
from torch import Tensor, nn
from torch.optim import Optimizer

import ridgeline
from ridgeline.penalties import L1, L2, ElasticNet, GroupLasso, MaxNorm, Norm, Nuclear, Penalty
from tests.modes.worlds import close, data_loss, equal, network, state, steps, weights

G = torch.Generator().manual_seed(0)
X = torch.randn(80, 30, generator=G, dtype=torch.float64)
TRUE = torch.zeros(30, dtype=torch.float64)
TRUE[:5] = torch.tensor([2.0, -1.5, 1.0, 0.8, -0.6], dtype=torch.float64)
Y = X @ TRUE + 0.5 * torch.randn(80, generator=G, dtype=torch.float64)

FIXED: dict[str, Callable[[Any], Optimizer]] = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.2),
    "SGD foreach": lambda p: torch.optim.SGD(p, lr=0.2, foreach=True),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8),
    "dampening": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, dampening=0.5),
    "Nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.02, foreach=True),
    "Adam fused": lambda p: torch.optim.Adam(p, lr=0.02, fused=True),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.0),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.02, amsgrad=True),
    "NAdam": lambda p: torch.optim.NAdam(p, lr=0.02),
    "Adamax": lambda p: torch.optim.Adamax(p, lr=0.02),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.5),
}


def solve(
    build: Callable[[Any], Optimizer],
    penalty: Penalty,
    count: int = 2500,
    decay: bool = False,
    metric: Any = "optimizer",
) -> Tensor:
    """The weights that training with mode "proximal" ends at; the data loss is ½ of the mean square."""
    model = nn.Linear(30, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    optimizer = build(model.parameters())
    ridgeline.regularize(model, penalty, optimizer=optimizer, mode="proximal", metric=metric)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, count) if decay else None
    for _ in range(count):
        optimizer.zero_grad()
        model.weight.grad = ((model.weight.detach() @ X.T - Y) @ X / len(X)).view(1, -1)
        optimizer.step()
        if plan is not None:
            plan.step()
    return model.weight.detach().view(-1)


def lasso(strength: float) -> Tensor:
    model = SklearnLasso(alpha=strength, fit_intercept=False, tol=1e-14, max_iter=100_000)
    return torch.from_numpy(np.asarray(model.fit(X.numpy(), Y.numpy()).coef_))


def elastic(strength: float, ratio: float) -> Tensor:
    model = SklearnElasticNet(
        alpha=strength, l1_ratio=ratio, fit_intercept=False, tol=1e-14, max_iter=100_000
    )
    return torch.from_numpy(np.asarray(model.fit(X.numpy(), Y.numpy()).coef_))


@pytest.mark.parametrize("decay", [False, True], ids=["constant", "decaying"])
@pytest.mark.parametrize("name", FIXED)
def test_the_fixed_point_is_sklearns_lasso(name: str, decay: bool) -> None:
    expected = lasso(0.1)
    found = solve(FIXED[name], L1(0.1), decay=decay)
    assert int((expected == 0).sum()) > 10
    assert torch.equal(found == 0, expected == 0)
    assert float((found - expected).abs().max()) < 1e-8


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_rmsprop_ends_there_too(momentum: float) -> None:
    found = solve(lambda p: torch.optim.RMSprop(p, lr=0.004, momentum=momentum), L1(0.1), count=4000)
    assert torch.equal(found == 0, lasso(0.1) == 0)
    assert float((found - lasso(0.1)).abs().max()) < 1e-6


@pytest.mark.parametrize("name", ["SGD", "momentum", "Nesterov", "Adam fused", "NAdam"])
def test_the_fixed_point_is_sklearns_elastic_net(name: str) -> None:
    expected = elastic(0.2, 0.6)
    for penalty in (ElasticNet(0.2, 0.6), L1(0.12) + L2(0.08)):
        found = solve(FIXED[name], penalty)
        assert torch.equal(found == 0, expected == 0)
        assert float((found - expected).abs().max()) < 1e-8


def grouped(penalty: GroupLasso, optimizer: str, count: int) -> Tensor:
    """Three outputs and thirty inputs, a group each input."""
    model = nn.Linear(30, 3, bias=False, dtype=torch.float64)
    nn.init.zeros_(model.weight)
    built = FIXED[optimizer](model.parameters())
    ridgeline.regularize(model, penalty, optimizer=built, mode="proximal")
    targets = torch.stack([Y, -0.5 * Y, Y.roll(1)], dim=1)
    for _ in range(count):
        model.weight.grad = (X @ model.weight.detach().T - targets).T @ X / len(X)
        built.step()
    return model.weight.detach()


def group_reference(strength: float) -> Tensor:
    """Proximal gradient written out: long, Euclidean, by formula."""
    w = torch.zeros(3, 30, dtype=torch.float64)
    targets = torch.stack([Y, -0.5 * Y, Y.roll(1)], dim=1)
    for _ in range(6000):
        w = w - 0.2 * (X @ w.T - targets).T @ X / len(X)
        norm = w.square().sum(0).sqrt()
        w = w * (1 - 0.2 * strength * 3**0.5 / norm.clamp_min(1e-300)).clamp_min(0)
    return w


@pytest.mark.parametrize("name", ["Adam", "momentum"])
def test_group_lasso_in_the_optimizers_metric(name: str) -> None:
    expected = group_reference(0.1)
    found = grouped(GroupLasso(0.1, dim=1), name, 1500)
    assert 0 < int((expected.abs().sum(0) == 0).sum()) < 30
    assert torch.equal(found == 0, expected == 0)
    assert float((found - expected).abs().max()) < 1e-8


def test_the_euclidean_metric_under_adam_solves_another_problem() -> None:
    """The documented difference: no zeros, and a visible error."""
    found = solve(FIXED["Adam"], L1(0.1), metric="euclidean")
    assert float((found - lasso(0.1)).abs().max()) > 1e-2
    same = solve(FIXED["SGD"], L1(0.1), metric="euclidean")
    assert float((same - lasso(0.1)).abs().max()) < 1e-8


@pytest.mark.parametrize(
    "kind",
    [torch.optim.Adadelta, torch.optim.RAdam, torch.optim.Rprop, torch.optim.ASGD, torch.optim.Adafactor],
)
def test_an_optimizer_of_unknown_metric_is_refused_with_the_remedy(kind: Any) -> None:
    model = network()
    optimizer = kind(model.parameters())
    if optimizer.defaults.get("weight_decay"):
        optimizer = kind(model.parameters(), weight_decay=0.0)
    with pytest.raises(ValueError, match=rf"metric of {kind.__name__}; pass metric='euclidean'"):
        ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="proximal")
    reg = ridgeline.regularize(model, L1(0.1), optimizer=optimizer, mode="proximal", metric="euclidean")
    steps(model, optimizer, 3)
    assert torch.isfinite(reg.penalty())


def test_plain_sgd_is_the_textbooks_proximal_gradient() -> None:
    model, twin = network(), network()
    optimizer, other = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (model, twin))
    penalty: Penalty = L1(0.05) + GroupLasso(0.02)
    ridgeline.regularize(model, penalty, optimizer=optimizer, mode="proximal")
    for k in range(5):
        for net, built in ((model, optimizer), (twin, other)):
            built.zero_grad()
            data_loss(net, k).backward()
            built.step()
        with torch.no_grad():
            for w in weights(twin):
                w.copy_(penalty.prox(w, 0.1))
    assert close(model.parameters(), twin.parameters())


@pytest.mark.parametrize("base", ["loss", "coupled", "decoupled", "proximal"])
@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_max_norm_acts_after_everything_else(base: Any, name: str) -> None:
    """After each step the rows are inside, and those inside anyway are where the other penalty left them."""
    model, twin = network(), network()
    optimizer, other = (FIXED[name](net.parameters()) for net in (model, twin))
    reg = ridgeline.regularize(model, L2(0.05) + MaxNorm(0.6), optimizer=optimizer, mode=base)
    own = ridgeline.regularize(twin, L2(0.05), optimizer=other, mode=base)
    for k in range(5):
        for net, built, r in ((model, optimizer, reg), (twin, other, own)):
            built.zero_grad()
            (data_loss(net, k) + (r.penalty() if base == "loss" else 0.0)).backward()
            built.step()
        with torch.no_grad():
            for w in weights(twin):
                w.copy_(MaxNorm(0.6).prox(w, 1.0))
        assert all(bool((w.norm(dim=1) <= 0.6 + 1e-12).all()) for w in weights(model))
        assert close(model.parameters(), twin.parameters(), rtol=1e-10)


def test_max_norm_alone_needs_an_optimizer_and_projects() -> None:
    model = network()
    with pytest.raises(ValueError, match=r"a constraint acts in optimizer\.step"):
        ridgeline.regularize(model, MaxNorm(0.5))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    reg = ridgeline.regularize(model, MaxNorm(0.5), optimizer=optimizer)
    for _ in range(2):
        optimizer.zero_grad()
        (data_loss(model) + reg.penalty()).backward()
        optimizer.step()
    assert float(reg.penalty().detach()) == 0.0
    assert all(bool((w.norm(dim=1) <= 0.5 + 1e-12).all()) for w in weights(model))


@pytest.mark.parametrize("penalty", [Norm(0.1), Nuclear(0.1)], ids=["Norm", "Nuclear"])
def test_penalties_of_whole_tensors(penalty: Penalty) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    ridgeline.regularize(model, penalty, optimizer=optimizer, mode="proximal")
    before = state(model)
    (data_loss(model) * 0).backward()
    optimizer.step()
    expected = [penalty.prox(w, 0.1) if w.ndim > 1 else w for w in before]
    assert close(model.parameters(), expected)
    assert not equal(model.parameters(), before)


UNPICKLED = """
import sys, warnings
import torch
from torch import nn
import ridgeline
warnings.simplefilter("ignore")
assert "torch._dynamo" not in sys.modules
found = []
for compiled in (True, False):
    model, optimizer = torch.load(sys.argv[1], weights_only=False)
    ridgeline.regularize(model, ridgeline.L1(0.05), optimizer=optimizer, mode="proximal")
    def step(x, y):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    act = torch.compile(step, backend="eager") if compiled else step
    numbers = torch.Generator().manual_seed(0)
    for _ in range(3):
        act(torch.randn(8, 30, generator=numbers), torch.randint(3, (8,), generator=numbers))
    found.append([p.detach().clone() for p in model.parameters()])
print(all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*found)), int((found[0][0] == 0).sum()) > 0)
"""


def test_a_compiled_step_of_an_optimizer_that_was_unpickled(tmp_path: Path) -> None:
    """None was made in that process, so torch's compiler is not loaded when the regularizer is made."""
    layers = [nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(40, 3))
    torch.save((model, torch.optim.Adam(model.parameters(), lr=0.01)), tmp_path / "both.pt")
    command = [sys.executable, "-c", UNPICKLED, str(tmp_path / "both.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["True True"], done.stderr
