"""Laws between penalties: limits where two must agree, and what is refused by name."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import ridgeline
from ridgeline.penalties import (
    L1,
    L2,
    L2SP,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    Norm,
    Nuclear,
    Orthogonal,
    Penalty,
    Strength,
)
from tests.laws._table import LANES, PENALTIES

W = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
W[0, 1] = 0.0
STEP = torch.rand(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.1
ROW, COLUMN = W[:1], W[:, :1]
STEPS: tuple[float | Tensor, ...] = (0.0, 0.4, STEP)


def agree(a: Penalty, b: Penalty, w: Tensor, steps: tuple[float | Tensor, ...] = STEPS) -> None:
    assert torch.allclose(a.value(w), b.value(w), rtol=1e-12)
    assert torch.allclose(a.gradient(w), b.gradient(w), rtol=1e-10, atol=1e-12)
    for step in steps if a.has_prox and b.has_prox else ():
        given = step if not isinstance(step, Tensor) else step[: len(w), : w.shape[1]]
        assert torch.allclose(a.prox(w, given), b.prox(w, given), rtol=1e-9, atol=1e-12)


PAIRS: dict[str, tuple[Callable[[Strength], Penalty], Callable[[Strength], Penalty], Tensor]] = {
    "elastic net, ratio 1 = L1": (lambda s: ElasticNet(s, 1.0), L1, W),
    "elastic net, ratio 0 = L2": (lambda s: ElasticNet(s, 0.0), L2, W),
    "elastic net, mean, ratio 1 = L1, mean": (
        lambda s: ElasticNet(s, 1.0, reduction="mean"),
        lambda s: L1(s, reduction="mean"),
        W,
    ),
    "elastic net = L1 + L2": (
        lambda s: ElasticNet(s, 0.25),
        lambda s: L1(0.25 * s) + L2(0.75 * s) if not isinstance(s, ridgeline.schedules.Schedule) else L1(s),
        W,
    ),
    "groups of one = L1": (GroupLasso, L1, COLUMN),
    "one group = Norm √n": (GroupLasso, lambda s: Norm(2 * s) if isinstance(s, float) else Norm(s), ROW),
    "Norm p=1 = L1": (lambda s: Norm(s, p=1), L1, W),
    "L2SP at 0 = L2": (lambda s: L2SP(s, reference=torch.zeros(3, 4)), L2, W),
    "with strength 0 = itself": (lambda s: L1(s) + L2(0.0), L1, W),
    "group with strength 0 = itself": (lambda s: L1(s) + GroupLasso(0.0), L1, W),
    "twice = doubled": (lambda s: L1(s) + L1(s), lambda s: L1(2 * s) if isinstance(s, float) else L1(s), W),
    "the order of a sum is nothing": (
        lambda s: GroupLasso(s) + L2(s) + L1(s),
        lambda s: L1(s) + L2(s) + GroupLasso(s),
        W,
    ),
}


@pytest.mark.parametrize("strength", [0.0, 0.3, 5.0])
@pytest.mark.parametrize("name", PAIRS)
def test_two_penalties_agree(name: str, strength: float) -> None:
    first, second, w = PAIRS[name]
    agree(first(strength), second(strength), w)


@pytest.mark.parametrize("vector", [ROW, COLUMN], ids=["row", "column"])
def test_nuclear_of_a_vector_is_its_norm(vector: Tensor) -> None:
    agree(Nuclear(0.3), Norm(0.3), vector, steps=(0.0, 0.4, 10.0))


def test_orthogonal_is_zero_at_rotations_and_the_same_for_the_transpose() -> None:
    q, _ = torch.linalg.qr(W.T)
    assert float(Orthogonal(1.0).value(q)) < 1e-28
    assert torch.allclose(Orthogonal(0.3).value(W), Orthogonal(0.3).value(W.T))
    assert torch.allclose(Orthogonal(0.3).gradient(W), Orthogonal(0.3).gradient(W.T).T)


@pytest.mark.parametrize("kind", [Nuclear, Orthogonal])
def test_a_convolution_is_a_matrix_of_out_by_rest(kind: type[Nuclear] | type[Orthogonal]) -> None:
    w = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(2))
    penalty = kind(0.3)
    assert torch.equal(penalty.value(w), penalty.value(w.flatten(1)))
    assert torch.equal(penalty.gradient(w).flatten(1), penalty.gradient(w.flatten(1)))
    with pytest.raises(ValueError, match=rf"{kind.__name__} needs .* at least 2 dimensions, this one has 1"):
        penalty.value(torch.ones(3))


def test_max_norm_projects_whatever_the_step() -> None:
    inside = MaxNorm(0.5).prox(W, 0.0)
    assert torch.equal(inside, MaxNorm(0.5).prox(W, STEP))
    assert bool((inside.norm(dim=1) <= 0.5 + 1e-12).all())
    assert torch.allclose(MaxNorm(0.5).prox(inside, 1.0), inside, rtol=1e-15)
    assert torch.equal(MaxNorm(100.0).prox(W, 1.0), W)
    assert torch.equal(MaxNorm(0.5, dim=1).prox(W, 1.0), MaxNorm(0.5).prox(W.T, 1.0).T)
    assert torch.equal((L1(0.1) + MaxNorm(0.5)).prox(W, 0.3), MaxNorm(0.5).prox(L1(0.1).prox(W, 0.3), 0.3))
    assert torch.equal((MaxNorm(0.5) + L1(0.1)).prox(W, 0.3), (L1(0.1) + MaxNorm(0.5)).prox(W, 0.3))


REFUSED = [
    (L1(0.1) + Nuclear(0.1), "L1 + Nuclear", "that of Nuclear does not compose"),
    (L2(0.1) + Orthogonal(0.1), "L2 + Orthogonal", "Orthogonal has no proximal operator"),
    (L1(0.1) + Norm(0.1, p=1.5), "L1 + Norm", "Norm has no proximal operator"),
    (GroupLasso(0.1) + GroupLasso(0.1, dim=1), "GroupLasso + GroupLasso", "two group penalties"),
    (GroupLasso(0.1) + Norm(0.1), "GroupLasso + Norm", "two group penalties"),
    (MaxNorm(0.1) + MaxNorm(0.1, dim=1), "MaxNorm + MaxNorm", "two constraints"),
]


@pytest.mark.parametrize(("penalty", "names", "why"), REFUSED, ids=[r[1] for r in REFUSED])
def test_a_sum_without_an_exact_prox_refuses_it_by_name(penalty: Penalty, names: str, why: str) -> None:
    assert not penalty.has_prox
    with pytest.raises(TypeError) as caught:
        penalty.prox(W, 0.1)
    assert str(caught.value).startswith(f"{names} has no exact proximal operator: {why}")
    assert "use mode 'loss' or 'coupled'" in str(caught.value)
    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="no exact proximal operator"):
        ridgeline.regularize(model, penalty, optimizer=optimizer, mode="proximal")


def test_single_penalties_without_a_prox_refuse_it() -> None:
    with pytest.raises(TypeError, match=r"Nuclear .* one step an element .* metric='euclidean'"):
        Nuclear(0.1).prox(W, STEP)
    with pytest.raises(TypeError, match=r"Norm with p = 1.5 .* use p = 1 or 2"):
        Norm(0.1, p=1.5).prox(W, 0.1)
    with pytest.raises(TypeError, match="Orthogonal has no proximal operator; use mode 'loss' or 'coupled'"):
        Orthogonal(0.1).prox(W, 0.1)


def test_a_norm_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"p = 0 counts .* its gradient is 0 everywhere"):
        Norm(0.1, p=0)
    for p in (0.5, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="allowed: a finite number ≥ 1"):
            Norm(0.1, p=p)


def test_other_wrong_arguments_are_refused() -> None:
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=r"l1_ratio is .* allowed: a number in \[0, 1\]"):
            ElasticNet(0.1, ratio)
    for penalty in (GroupLasso(0.1, dim=2), GroupLasso(0.1, dim=-3), MaxNorm(0.1, dim=2)):
        with pytest.raises(ValueError, match=r"does not exist in a parameter of 2 dimensions; allowed: -2…1"):
            penalty.prox(W, 0.1)
    with pytest.raises(ValueError, match="limit is -1"):
        MaxNorm(-1.0)


def test_l2sp_takes_its_reference_from_each_kind() -> None:
    model = torch.nn.Linear(2, 1)
    start = model.weight.detach().clone()
    for reference in (None, {"weight": start}, start):
        reg = ridgeline.regularize(model, L2SP(2.0, reference=reference))
        assert float(reg.penalty().detach()) == 0.0
        with torch.no_grad():
            model.weight += 1.0
        assert float(reg.penalty().detach()) == pytest.approx(2.0)
        with torch.no_grad():
            model.weight.copy_(start)
        reg.remove()
    with pytest.raises(ValueError, match="no tensor called 'weight'"):
        ridgeline.regularize(model, L2SP(1.0, reference={"bias": start}))
    with pytest.raises(ValueError, match=r"shape \(3,\), the parameter \(1, 2\)"):
        ridgeline.regularize(model, L2SP(1.0, reference=torch.ones(3)))
    with pytest.raises(ValueError, match="no reference yet"):
        L2SP(1.0).value(W)


@pytest.mark.parametrize("name", PENALTIES)
def test_penalties_copy_and_pickle(name: str) -> None:
    if name.startswith("L2SP"):
        return  # a reference makes equality a tensor
    penalty = PENALTIES[name].make(0.3)
    assert copy.deepcopy(penalty) == penalty
    assert pickle.loads(pickle.dumps(penalty)) == penalty
    assert hash(penalty) == hash(PENALTIES[name].make(0.3))
    assert repr(penalty).startswith(name.partition("-")[0].partition("+")[0])
    assert isinstance(penalty, Penalty)


def test_a_sum_is_immutable_and_adds() -> None:
    total = L1(0.1) + L2(0.2) + GroupLasso(0.3)
    with pytest.raises(AttributeError, match="immutable"):
        total.parts = ()
    assert total == L1(0.1) + (L2(0.2) + GroupLasso(0.3))
    with pytest.raises(TypeError):
        L1(0.1) + 3  # type: ignore[operator]


@pytest.mark.parametrize("kind", [GroupLasso, Norm, Nuclear, Orthogonal, MaxNorm, L2SP])
def test_with_strength_changes_nothing_else(kind: type[GroupLasso]) -> None:
    assert kind(0.5).with_strength(2.0) == kind(2.0)
    with pytest.raises(ValueError, match=r"is -1.*allowed: a finite number ≥ 0"):
        kind(0.5).with_strength(-1.0)
    assert kind(torch.tensor(LANES)).with_strength(0.5) == kind(0.5)
