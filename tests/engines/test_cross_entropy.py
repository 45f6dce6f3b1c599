"""The cross-entropy of lanes: torch's values and slopes, by nothing but a lane's own numbers."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ridgeline.lanes._cross_entropy import cross_entropy


def both(output: Tensor, y: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Losses and their slope."""
    leaf = output.clone().requires_grad_()
    losses = cross_entropy(leaf, y)
    losses.backward(g)
    assert leaf.grad is not None
    return losses.detach(), leaf.grad


def drawn(lanes: int, n: int, classes: int, scale: float = 3.0) -> tuple[Tensor, Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(n + classes)
    output = scale * torch.randn(lanes, n, classes, generator=numbers)
    y = torch.randint(0, classes, (lanes, n), generator=numbers)
    return output, y, torch.rand(lanes, n, generator=numbers)


@pytest.mark.parametrize("scale", [1e-3, 3.0, 1e3])
@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_it_is_that_of_torch(classes: int, scale: float) -> None:
    output, y, g = drawn(3, 7, classes, scale)
    losses, slope = both(output.double(), y, g.double())
    leaf = output.double().requires_grad_()
    expected = F.cross_entropy(leaf.flatten(0, 1), y.flatten(), reduction="none").view(3, 7)
    expected.backward(g.double())
    torch.testing.assert_close(losses, expected.detach(), rtol=1e-13, atol=1e-13 * scale)
    torch.testing.assert_close(slope, leaf.grad, rtol=1e-12, atol=1e-14)
    rounded, rounded_slope = both(output, y, g)
    torch.testing.assert_close(rounded.double(), losses, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(rounded_slope.double(), slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3, 10, 17, 64, 100])
@pytest.mark.parametrize("n", [1, 5, 8, 32, 37])
def test_a_lane_rounds_by_nothing_but_itself(n: int, classes: int) -> None:
    output, y, g = drawn(9, n, classes)
    whole = both(output, y, g)
    for first, last in ((0, 2), (3, 6), (7, 9)):
        part = both(output[first:last], y[first:last], g[first:last])
        assert all(torch.equal(a[first:last], b) for a, b in zip(whole, part, strict=True))


def test_infinite_logits_stay_in_their_lane() -> None:
    output, y, g = drawn(3, 4, 5)
    clean = both(output, y, g)
    output[1, 0, 0], output[1, 1] = math.inf, math.nan
    output[2, 0] = torch.tensor([-math.inf, 0.0, 1.0, 2.0, 3.0])
    y[2, 0] = 3
    losses, slope = both(output, y, g)
    assert not torch.isfinite(losses[1, :2]).any()
    assert torch.equal(losses[0], clean[0][0])
    assert torch.equal(slope[0], clean[1][0])
    expected = F.cross_entropy(output[2], y[2], reduction="none")  # a class that cannot be is no matter
    torch.testing.assert_close(losses[2], expected)
    assert torch.isfinite(slope[2]).all()
