"""Laws of the in-place kernels: they equal the penalty objects, whatever the memory looks like."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ridgeline.penalties import Penalty
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer import _pieces as pieces
from ridgeline.regularizer import _prox_kernels as prox_kernels
from ridgeline.regularizer._prox_kernels import ElementStep
from tests.laws._table import PENALTIES

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
FLAT = {n for n, m in PENALTIES.items() if m.separable} | {"Norm", "Norm-1", "Norm-1.5"}
ONE = FLAT | {"GroupLasso", "GroupLasso-last", "MaxNorm", "L2+MaxNorm", "L1+GroupLasso", "L2SP+L1+Norm"}


def random(*shape: int) -> Tensor:
    w = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    return w * (w.abs() > 0.2)


LAYOUTS: dict[str, Callable[[], Tensor]] = {
    "0-d": lambda: torch.tensor(1.5),
    "1-d": lambda: random(7),
    "1-d strided": lambda: random(14)[::2],
    "2-d": lambda: random(4, 6),
    "transposed": lambda: random(6, 4).T,
    "sliced": lambda: random(4, 9)[:, 2:8],
    "expanded rows": lambda: random(8, 6)[::2],
    "3-d": lambda: random(3, 4, 5),
    "permuted": lambda: random(3, 4, 5).permute(1, 2, 0),
    "4-d": lambda: random(3, 4, 2, 5),
    "channels_last": lambda: random(3, 4, 2, 5).contiguous(memory_format=torch.channels_last),
}
FOR = {"0-d": FLAT, "1-d": ONE, "1-d strided": ONE}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of 5 elements: none of the tensors here is a multiple."""
    monkeypatch.setattr(pieces, "CHUNK", 5)
    monkeypatch.setattr(prox_kernels, "CHUNK", 5)


def near(found: Tensor, expected: Tensor) -> bool:
    """Equal up to a few roundings of the dtype."""
    eps = torch.finfo(found.dtype).eps
    return torch.allclose(found, expected, rtol=8 * eps, atol=8 * eps)


def cases() -> list[object]:
    return [
        pytest.param(name, layout, id=f"{name}-{layout}")
        for layout in LAYOUTS
        for name in PENALTIES
        if name in FOR.get(layout, set(PENALTIES))
    ]


def both(name: str, layout: str, dtype: torch.dtype) -> tuple[Penalty, Tensor]:
    w = LAYOUTS[layout]()
    given = torch.empty_strided(w.shape, w.stride(), dtype=dtype).copy_(w)
    assert given.stride() == w.stride()
    return PENALTIES[name].make(0.3), given


@pytest.mark.parametrize(("name", "layout"), cases())
def test_value(name: str, layout: str) -> None:
    for dtype in DTYPES:
        penalty, w = both(name, layout, dtype)
        found, exact = kernels.value(penalty, w), penalty.value(w)
        assert (found.dtype, found.shape) == (exact.dtype, ())
        assert torch.allclose(found, exact, rtol=1e-5 if dtype != torch.float64 else 1e-12)


@pytest.mark.parametrize(("name", "layout"), cases())
def test_add_gradient(name: str, layout: str) -> None:
    """Into a gradient of the same and of another layout, and into the weights themselves."""
    for dtype in DTYPES:
        penalty, w = both(name, layout, dtype)
        before = w.clone()
        for target in (torch.ones_like(w), torch.ones(w.shape, dtype=dtype)):
            for factor in (-0.5, torch.tensor(-0.5)):
                expected = target + (-0.5 * penalty.gradient(w).double()).to(dtype)
                goal = target.clone()
                kernels.add_gradient(goal, penalty, w, factor)
                assert near(goal, expected)
                assert goal.stride() == target.stride()
        assert torch.equal(w, before)
        expected = (w.double() - 0.5 * penalty.gradient(w).double()).to(dtype)
        kernels.add_gradient(w, penalty, w, -0.5)
        assert near(w, expected)


@pytest.mark.parametrize("name", ["L1", "ElasticNet"])
@pytest.mark.parametrize("shape", [(7, 9), (600, 700)])
def test_signs_go_into_a_gradient_of_another_dtype(name: str, shape: tuple[int, ...]) -> None:
    """Half precision weights may have gradients in float32 (`grad_dtype`)."""
    w = random(*shape)
    for ours, its in ((torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)):
        penalty, own, goal = PENALTIES[name].make(0.3), w.to(ours), torch.ones(shape, dtype=its)
        kernels.add_gradient(goal, penalty, own, 2.0)
        exact = 1.0 + 2.0 * penalty.gradient(own.double())
        torch.testing.assert_close(goal.double(), exact, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(("name", "layout"), cases())
def test_apply_prox(name: str, layout: str) -> None:
    for dtype in DTYPES:
        penalty, w = both(name, layout, dtype)
        if not penalty.has_prox:
            continue
        expected = penalty.prox(w, 0.7)
        same, before = w.clone(), w.stride()
        prox_kernels.apply_prox(penalty, w, 0.7)
        assert near(w, expected)
        assert w.stride() == before
        if not PENALTIES[name].tensor_step:
            continue
        state = same.abs() + 0.5
        expected = penalty.prox(same, 0.1 / state)
        for step in (lambda v: 0.1 / v, ElementStep(lambda v: v.clone(), 0.1)):
            moved = same.clone()
            prox_kernels.apply_prox(penalty, moved, step, (state,))
            assert near(moved, expected)


def test_strengths_as_tensors_and_a_lane_each() -> None:
    w = random(3, 4, 5)
    for strength in (torch.tensor(0.3), torch.tensor([0.1, 0.0, 2.0])):
        for name, member in PENALTIES.items():
            penalty, goal = member.make(strength), torch.zeros_like(w)
            assert torch.allclose(kernels.value(penalty, w), penalty.value(w), rtol=1e-5), name
            kernels.add_gradient(goal, penalty, w, 2.0)
            assert torch.allclose(goal, 2.0 * penalty.gradient(w), rtol=1e-5, atol=1e-6), name
            if penalty.has_prox:
                moved = w.clone()
                prox_kernels.apply_prox(penalty, moved, 0.7)
                assert torch.allclose(moved, penalty.prox(w, 0.7), rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_tensors(shape: tuple[int, ...]) -> None:
    for name in ("L1", "L1-mean", "L2", "ElasticNet", "GroupLasso", "Norm", "MaxNorm", "L1+GroupLasso"):
        penalty, w = PENALTIES[name].make(0.3), torch.zeros(shape)
        assert float(kernels.value(penalty, w)) == 0.0
        kernels.add_gradient(w, penalty, w, 1.0)
        prox_kernels.apply_prox(penalty, w, 1.0)
        assert w.shape == shape
