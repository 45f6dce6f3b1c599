"""Laws of every penalty at every strength: value, gradient, lanes, dtype."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ridgeline.penalties import Strength
from tests.laws._table import LANES, PENALTIES, STRENGTHS, Member

CASES = [
    pytest.param(member, strength, id=f"{name}-{label}")
    for name, member in PENALTIES.items()
    for label, strength in STRENGTHS.items()
]
pytestmark = pytest.mark.parametrize(("member", "strength"), CASES)
HALVES = (torch.float16, torch.bfloat16)
DTYPES = (*HALVES, torch.float32, torch.float64)


def weights(dtype: torch.dtype = torch.float64) -> Tensor:
    """Five matrices, one a lane: of either sign, small, large, and with zeros."""
    g = torch.Generator().manual_seed(0)
    w = torch.randn(len(LANES), 2, 3, generator=g, dtype=torch.float64)
    w[:, 0, 0], w[:, 1, 2] = 0.0, -20.0
    w[:, 0, 1] = 1e-3 * torch.arange(1, 6)
    return w.to(dtype)


def lanes(w: Tensor, strength: Strength) -> Iterator[tuple[Tensor, float]]:
    """Each part of w that has a strength of its own, with that strength as a float."""
    if isinstance(strength, Tensor) and strength.ndim == 1:
        yield from zip(w, strength.double().tolist(), strict=True)
    else:
        assert isinstance(strength, (float, Tensor))
        yield w, float(strength)


def smooth(member: Member, w: Tensor, strength: Strength) -> Tensor:
    """Where R is differentiable, like w."""
    parts = [
        torch.from_numpy(np.broadcast_to(member.smooth(part.numpy()), part.shape).copy())
        for part, _ in lanes(w, strength)
    ]
    return parts[0] if len(parts) == 1 else torch.stack(parts)


def test_value_is_the_formula(member: Member, strength: Strength) -> None:
    w = weights()
    expected = [member.naive(part.numpy(), s) for part, s in lanes(w, strength)]
    value = member.make(strength).value(w)
    assert value.shape == ((len(LANES),) if len(expected) > 1 else ())
    assert value.reshape(-1).tolist() == pytest.approx(expected, rel=1e-6)
    assert bool((value >= 0).all())


def test_zero_weights_give_no_nan_and_no_gradient_at_the_kink(member: Member, strength: Strength) -> None:
    penalty = member.make(strength)
    for dtype in (torch.float32, torch.float64) if not member.zero else DTYPES:
        w = torch.zeros(len(LANES), 2, 3, dtype=dtype, requires_grad=True)
        value, gradient = penalty.value(w), penalty.gradient(w.detach())
        value.sum().backward()
        assert w.grad is not None
        found = [value, gradient, w.grad, *([penalty.prox(w.detach(), 2.0)] if penalty.has_prox else [])]
        assert not any(bool(torch.isnan(f).any()) for f in found)
        if member.zero and member is not PENALTIES["Nuclear"]:  # autograd's subgradient of Σσ is not 0
            assert all(torch.equal(f, torch.zeros_like(f)) for f in found)
        if member.zero:
            assert torch.equal(gradient, torch.zeros_like(gradient))


def test_gradient_is_autograd_where_smooth_and_zero_at_kinks(member: Member, strength: Strength) -> None:
    w = weights().requires_grad_()
    penalty = member.make(strength)
    (auto,) = torch.autograd.grad(penalty.value(w).sum(), w)
    gradient = penalty.gradient(w.detach())
    mask = smooth(member, w.detach(), strength)
    scale = float(auto.abs().max())
    assert torch.allclose(gradient[mask], auto[mask], rtol=1e-11, atol=1e-12 * scale)
    if member.zero:
        assert bool((gradient[~mask] == 0).all())


def test_gradient_is_zero_in_a_group_of_zeros(member: Member, strength: Strength) -> None:
    w = weights()
    w[:, 1] = 0.0
    w[2] = 0.0
    gradient, mask = member.make(strength).gradient(w), smooth(member, w, strength)
    assert bool(torch.isfinite(gradient).all())
    if member.zero:
        assert bool((gradient[~mask] == 0).all())


def test_gradient_is_the_slope_of_the_formula(member: Member, strength: Strength) -> None:
    """Central differences of the plain value: independent of torch and of its autograd."""
    w, h = weights(), 1e-6
    gradient = member.make(strength).gradient(w)
    for (part, s), (got, _) in zip(lanes(w, strength), lanes(gradient, strength), strict=True):
        scale = float(got.abs().max())
        for place in np.ndindex(*part.shape):
            up, down = part.numpy().copy(), part.numpy().copy()
            up[place] += h
            down[place] -= h
            slope = (member.naive(up, s) - member.naive(down, s)) / (2 * h)
            assert float(got[place]) == pytest.approx(slope, rel=1e-4, abs=1e-6 * scale + 1e-7 * s)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_and_device_are_kept(member: Member, strength: Strength, dtype: torch.dtype) -> None:
    w, penalty = weights(dtype), member.make(strength)
    before = w.clone()
    results = [penalty.gradient(w)]
    if penalty.has_prox:
        results.append(penalty.prox(w, 0.5))
        results += [penalty.prox(w, torch.full_like(w, 0.5))] if member.tensor_step else []
    for result in results:
        assert (result.dtype, result.shape, result.device) == (dtype, w.shape, w.device)
    value = penalty.value(w)
    assert value.dtype in (torch.float32, torch.float64)
    exact = member.make(strength).value(w.double())
    assert torch.allclose(value.double(), exact, rtol=1e-5, atol=0)
    assert torch.equal(w, before)
