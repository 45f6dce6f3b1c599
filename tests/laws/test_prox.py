"""Laws of the proximal operators: argmin by brute force, optimality, firm nonexpansiveness."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from ridgeline.penalties import Strength
from tests.laws._table import NET_GROUP, PENALTIES, STRENGTHS, Array, Member
from tests.laws.test_penalties import lanes, weights

WITH_PROX = {n: m for n, m in PENALTIES.items() if m.make(1.0).has_prox}


def cases(members: dict[str, Member]) -> pytest.MarkDecorator:
    """Each member with each strength."""
    found = [
        pytest.param(member, strength, id=f"{name}-{label}")
        for name, member in members.items()
        for label, strength in STRENGTHS.items()
    ]
    return pytest.mark.parametrize(("member", "strength"), found)


every_case = cases(WITH_PROX)
separable_case = cases({n: m for n, m in WITH_PROX.items() if m.separable})  # the others: jointly
STEPS = [(n, kind) for n, m in WITH_PROX.items() for kind in ("number", "tensor")[: 1 + m.tensor_step]]


def outside(rows: Array, limit: float) -> Array:
    """Of the table's constraint: how far inside the ball each row is, negative outside."""
    squares: Array = (rows.reshape(2, -1) ** 2).sum(1)
    return limit**2 - squares


def minima(f: Callable[[Array], float], start: Array, limit: float | None) -> list[tuple[float, Array]]:
    """What scipy's searches find from a start, within the ball where there is a limit."""
    if limit is not None:
        ball = {"type": "ineq", "fun": lambda u: outside(u, limit)}
        found = minimize(f, start.reshape(-1), method="SLSQP", constraints=[ball], options={"ftol": 1e-14})
        return [(float(found.fun), found.x)] if outside(found.x, limit).min() > -1e-9 else []
    searches = (("Powell", {"xtol": 1e-10, "ftol": 1e-14}), ("L-BFGS-B", {"ftol": 1e-14}))
    found = [minimize(f, start.reshape(-1), method=method, options=tight) for method, tight in searches]
    return [(float(one.fun), one.x) for one in found]


def test_the_table_knows_which_have_one() -> None:
    assert set(PENALTIES) - set(WITH_PROX) == {"Norm-1.5", "Orthogonal"}


def argmin(f: Callable[[float], float], radius: float) -> float:
    """The least point of f on [−radius, radius]: a dense grid, then golden section around its best."""
    grid = [radius * (i / 100 - 1) for i in range(201)]
    best = min(grid, key=f)
    low, high, golden = best - radius / 100, best + radius / 100, (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return (low + high) / 2


@pytest.mark.parametrize("step", [0.1, 3.0])
@separable_case
def test_prox_of_single_weights_is_the_brute_force_argmin(
    member: Member, strength: Strength, step: float
) -> None:
    w, size = weights(), member.naive(np.ones(6), 1.0) / member.naive(np.ones(1), 1.0)
    prox = member.make(strength).prox(w, step)
    for (part, s), (found, _) in zip(lanes(w, strength), lanes(prox, strength), strict=True):
        own = s / part.numel() if size == pytest.approx(1.0) else s  # reduction="mean"
        for x, got in zip(part.flatten().tolist(), found.flatten().tolist(), strict=True):

            def f(u: float, x: float = x, own: float = own) -> float:
                return member.naive(np.array([u]), own) + (u - x) ** 2 / (2 * step)

            assert got == pytest.approx(argmin(f, max(abs(x), 1.0)), abs=1e-6 * (1 + abs(x)))


@pytest.mark.parametrize("s", [0.05, 0.5])
@pytest.mark.parametrize(("name", "kind"), STEPS)
def test_prox_is_the_joint_brute_force_argmin(name: str, s: float, kind: str) -> None:
    """No start finds a lower cost; the best found without knowing the answer lies beside it."""
    member = WITH_PROX[name]
    w = torch.tensor([[1.0, -0.6, 0.02], [0.15, 0.1, -0.2]], dtype=torch.float64)
    step: float | Tensor = 0.7
    if kind == "tensor":
        step = torch.tensor([[0.1, 2.0, 0.7], [1.5, 0.4, 0.9]], dtype=torch.float64)
    h = np.broadcast_to(1.0 / np.asarray(step), w.shape).astype(np.float64)
    found = member.make(s).prox(w, step).numpy()
    naive, limit = member.naive, s if "MaxNorm" in name else None

    def f(u: Array) -> float:
        full = u.reshape(found.shape)
        return naive(full, s) + 0.5 * float((h * (full - w.numpy()) ** 2).sum())

    row = np.vstack([w.numpy()[:1], np.zeros((1, 3))])
    starts = [w.numpy(), 0.5 * w.numpy(), 0.01 * w.numpy(), row]
    best = min((r for start in starts for r in minima(f, start, limit)), key=lambda result: result[0])
    again = min(r[0] for r in minima(f, found, limit))
    assert limit is None or outside(found, limit).min() > -1e-12
    assert min(best[0], again) >= f(found) - 1e-8
    assert np.allclose(best[1].reshape(found.shape), found, atol=2e-3)


@every_case
def test_prox_takes_a_step_for_each_weight(member: Member, strength: Strength) -> None:
    """A constant step tensor is the number; step 0 moves nothing."""
    w, penalty = weights(), member.make(strength)
    exact = 1e-9 if isinstance(strength, float) else 2e-5  # a float32 strength rounds its products
    for step in (0.1, 3.0) if member.tensor_step else ():
        one, each = penalty.prox(w, step), penalty.prox(w, torch.full_like(w, step))
        assert torch.allclose(each, one, rtol=exact, atol=exact)
        assert torch.allclose(penalty.prox(w, torch.tensor(step)), one, rtol=1e-5, atol=1e-5)
    if member not in (PENALTIES["MaxNorm"], PENALTIES["L2+MaxNorm"]):
        assert torch.allclose(penalty.prox(w, 0.0), w, rtol=1e-12, atol=1e-12)
    if member.tensor_step:
        assert torch.equal(penalty.prox(w, torch.zeros_like(w)), w)


@every_case
def test_prox_is_firmly_nonexpansive_in_its_metric(member: Member, strength: Strength) -> None:
    """‖Pa − Pb‖²_H ≤ ⟨Pa − Pb, a − b⟩_H, and H(a − Pa) is a subgradient of R at Pa (Moreau)."""
    penalty = member.make(strength)
    g = torch.Generator().manual_seed(4)
    for spread in (0.1, 1.0, 30.0):
        x, y, other = (torch.randn(5, 2, 3, generator=g, dtype=torch.float64) * spread for _ in range(3))
        x[:, 0] *= torch.rand(5, 3, generator=g, dtype=torch.float64) * 0.1
        steps: list[float | Tensor] = [1e-3, 0.7, 10.0]
        if member.tensor_step:
            steps.append(torch.rand(x.shape, generator=g, dtype=torch.float64) + 0.01)
        for step in steps:
            px, py = penalty.prox(x, step), penalty.prox(y, step)
            d, h = px - py, 1.0 / torch.as_tensor(step, dtype=torch.float64)
            gap = float((h * d * (x - y)).sum() - (h * d * d).sum())
            assert gap >= -1e-7 * (1 + float((h * (x - y) ** 2).sum()))
            if "MaxNorm" in repr(penalty):
                continue
            dual = h * (x - px)
            for z in (y, other, torch.zeros_like(x), px * 1.01, px + 1e-3 * other):
                size = float(penalty.value(z).sum() + penalty.value(px).sum())
                slack = float(penalty.value(z).sum() - penalty.value(px).sum() - (dual * (z - px)).sum())
                assert slack >= -1e-6 * (1 + size)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", ["GroupLasso", "GroupLasso-1", "Norm", "L1+GroupLasso", NET_GROUP])
def test_the_weighted_prox_is_right_at_extremes(name: str, dtype: torch.dtype) -> None:
    """Steps over ten orders of magnitude, as Adam's where some gradients vanish: stationary or zero."""
    g = torch.Generator().manual_seed(5)
    w = torch.randn(6, 7, generator=g, dtype=torch.float64)
    step = 10.0 ** (torch.rand(6, 7, generator=g, dtype=torch.float64) * 10 - 5)
    for s in (1e-6, 1e-2, 1.0):
        penalty = PENALTIES[name].make(s)
        exact = penalty.prox(w, step)
        found = penalty.prox(w.to(dtype), step.to(dtype))
        assert bool(torch.isfinite(found).all())
        assert torch.allclose(found.double(), exact, rtol=1e-4, atol=1e-5)
        residual = penalty.gradient(exact) + (exact - w) / step  # 0 where R is smooth
        mask = exact.abs() > 1e-12
        scale = penalty.gradient(exact).abs() + ((exact - w) / step).abs()
        assert bool((residual[mask].abs() <= 1e-6 * scale[mask] + 1e-9).all())
