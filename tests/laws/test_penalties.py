"""Laws of every penalty at every strength: value, gradient, prox, lanes, dtype."""

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ridgeline.penalties import Strength
from tests.laws._table import LANES, PENALTIES, STRENGTHS, Member

STEPS = (0.1, 3.0)
CASES = [
    pytest.param(member, strength, id=f"{name}-{label}")
    for name, member in PENALTIES.items()
    for label, strength in STRENGTHS.items()
]
pytestmark = pytest.mark.parametrize(("member", "strength"), CASES)


def weights(dtype: torch.dtype = torch.float64) -> Tensor:
    """Five rows, one a lane: of either sign, small, large, and with zeros."""
    g = torch.Generator().manual_seed(0)
    w = torch.randn(len(LANES), 2, 3, generator=g, dtype=torch.float64)
    w[:, 0, 0], w[:, 0, 1], w[:, 1, 2] = 0.0, 1e-3, -20.0
    return w.to(dtype)


def lanes(w: Tensor, strength: Strength) -> Iterator[tuple[Tensor, float]]:
    """Each part of w that has a strength of its own, with that strength as a float."""
    if isinstance(strength, Tensor) and strength.ndim == 1:
        yield from zip(w, strength.double().tolist(), strict=True)
    else:
        assert isinstance(strength, (float, Tensor))
        yield w, float(strength)


def test_value_is_the_formula(member: Member, strength: Strength) -> None:
    w = weights()
    expected = [member.naive(part.flatten().tolist(), s) for part, s in lanes(w, strength)]
    value = member.make(strength).value(w)
    assert value.shape == ((len(LANES),) if len(expected) > 1 else ())
    assert value.reshape(-1).tolist() == pytest.approx(expected, rel=1e-6)
    assert bool((value >= 0).all())


def test_zero_weights_cost_nothing_and_give_no_nan(member: Member, strength: Strength) -> None:
    penalty = member.make(strength)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        w = torch.zeros(len(LANES), 3, dtype=dtype, requires_grad=True)
        value = penalty.value(w)
        value.sum().backward()
        assert w.grad is not None
        for result in (value, w.grad, penalty.gradient(w.detach()), penalty.prox(w.detach(), 2.0)):
            assert torch.equal(result, torch.zeros_like(result))


def test_gradient_is_autograd_where_smooth_and_zero_at_kinks(member: Member, strength: Strength) -> None:
    w = weights().requires_grad_()
    penalty = member.make(strength)
    (auto,) = torch.autograd.grad(penalty.value(w).sum(), w)
    gradient = penalty.gradient(w.detach())
    smooth = torch.tensor([member.smooth(x) for x in w.flatten().tolist()]).view(w.shape)
    assert torch.allclose(gradient[smooth], auto[smooth], rtol=1e-12, atol=0)
    assert bool((gradient[~smooth] == 0).all())


def test_gradient_is_the_slope_of_the_formula(member: Member, strength: Strength) -> None:
    """Central differences of the plain-Python value: independent of torch and of its autograd."""
    w, h = weights(), 1e-6
    gradient = member.make(strength).gradient(w)
    for (part, s), got in zip(lanes(w, strength), lanes(gradient, strength), strict=True):
        flat = part.flatten().tolist()
        for i, x in enumerate(flat):
            up, down = ([*flat[:i], x + d, *flat[i + 1 :]] for d in (h, -h))
            slope = (member.naive(up, s) - member.naive(down, s)) / (2 * h)
            assert float(got[0].flatten()[i]) == pytest.approx(slope, rel=1e-4, abs=1e-7 * s)


def argmin(f: Callable[[float], float], radius: float) -> float:
    """The least point of f on [−radius, radius]: a dense grid, then golden section around its best."""
    grid = [radius * (i / 100 - 1) for i in range(201)]
    best = min(grid, key=f)
    low, high, golden = best - radius / 100, best + radius / 100, (math.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, b) if f(a) < f(b) else (a, high)
    return (low + high) / 2


@pytest.mark.parametrize("step", STEPS)
def test_prox_is_the_brute_force_argmin(member: Member, strength: Strength, step: float) -> None:
    w = weights()
    prox = member.make(strength).prox(w, step)
    for (part, s), (found, _) in zip(lanes(w, strength), lanes(prox, strength), strict=True):
        rest = [0.0] * (part.numel() - 1)
        for x, got in zip(part.flatten().tolist(), found.flatten().tolist(), strict=True):

            def cost(u: float, x: float = x, s: float = s, rest: list[float] = rest) -> float:
                return member.naive([u, *rest], s) + (u - x) ** 2 / (2 * step)

            assert got == pytest.approx(argmin(cost, abs(x) + 1e-9), abs=1e-6 * (1 + abs(x)))


def test_prox_takes_a_step_for_each_weight(member: Member, strength: Strength) -> None:
    w, penalty = weights(), member.make(strength)
    step = torch.linspace(0, 4, w.numel(), dtype=w.dtype).view(w.shape)
    each = torch.stack([penalty.prox(w, float(s)).flatten()[i] for i, s in enumerate(step.flatten())])
    exact = 1e-12 if isinstance(strength, float) else 1e-6  # a float32 strength rounds its products
    assert torch.allclose(penalty.prox(w, step).flatten(), each, rtol=exact, atol=exact)
    assert torch.equal(penalty.prox(w, 0.0), w)


VECTORS = st.lists(st.floats(-50, 50), min_size=len(LANES), max_size=len(LANES))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(a=VECTORS, b=VECTORS, step=st.floats(1e-3, 10))
def test_prox_is_firmly_nonexpansive(
    member: Member, strength: Strength, a: list[float], b: list[float], step: float
) -> None:
    """‖Pa − Pb‖² ≤ ⟨Pa − Pb, a − b⟩, and Moreau: a = prox_R(a) + prox_R*(a), so (a − Pa)/step ∈ ∂R(Pa)."""
    if not member.convex:
        pytest.skip("the law is of convex penalties")
    penalty = member.make(strength)
    x, y = torch.tensor(a, dtype=torch.float64)[:, None], torch.tensor(b, dtype=torch.float64)[:, None]
    px, py = penalty.prox(x, step), penalty.prox(y, step)
    d = px - py
    assert float((d * d).sum()) <= float((d * (x - y)).sum()) + 1e-9 * (1 + float((x - y).square().sum()))
    dual = (x - px) / step
    # The subgradient inequality at every other point: R(y) ≥ R(Px) + ⟨dual, y − Px⟩.
    slack = penalty.value(y).sum() - penalty.value(px).sum() - (dual * (y - px)).sum()
    assert float(slack) >= -1e-6 * (1 + float(penalty.value(y).sum() + penalty.value(px).sum()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_device_are_kept(member: Member, strength: Strength, dtype: torch.dtype) -> None:
    w, penalty = weights(dtype), member.make(strength)
    before = w.clone()
    step = torch.full_like(w, 0.5)
    for result in (penalty.gradient(w), penalty.prox(w, 0.5), penalty.prox(w, step)):
        assert (result.dtype, result.shape, result.device) == (dtype, w.shape, w.device)
    value = penalty.value(w)
    assert value.dtype in (torch.float32, torch.float64)
    exact = member.make(strength).value(w.double())
    assert torch.allclose(value.double(), exact, rtol=1e-5, atol=0)
    assert torch.equal(w, before)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 2)])
def test_lanes_are_the_single_lanes_stacked(
    member: Member, strength: Strength, shape: tuple[int, ...]
) -> None:
    w = torch.randn(len(LANES), *shape, generator=torch.Generator().manual_seed(1))
    per_lane = torch.tensor(LANES) if not isinstance(strength, Tensor) else strength.expand(len(LANES))
    packed, single = member.make(per_lane), [member.make(s) for s in per_lane]
    step = torch.rand(w.shape, generator=torch.Generator().manual_seed(2))
    assert torch.allclose(packed.value(w), torch.stack([p.value(x) for p, x in zip(single, w, strict=True)]))
    assert torch.equal(
        packed.gradient(w), torch.stack([p.gradient(x) for p, x in zip(single, w, strict=True)])
    )
    alone = [p.prox(x, s) for p, x, s in zip(single, w, step, strict=True)]
    assert torch.equal(packed.prox(w, step), torch.stack(alone))
