"""Gradients taken by hand: those of autograd, bit for bit, whatever stands in the chain."""

import pytest
import torch
from torch import nn

from ridgeline.lanes import _stacking
from ridgeline.lanes._lane_loss import batch_losses, batch_slopes
from ridgeline.lanes._links import is_link
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._settings import LossName
from tests.engines.lanes import ADAM, IMAGES, SGD, family, layered, packed, rule
from tests.engines.worlds import CPU, classes, named, numbers, own, same


def deep() -> nn.Module:
    """Every layer that gives its pull, nested; one of them twice, one frozen, one without a bias."""
    twice, frozen = nn.Linear(9, 9), nn.Linear(9, 9)
    frozen.requires_grad_(False)
    body = nn.Sequential(twice, nn.ReLU(), nn.Dropout(0.4), nn.Sequential(twice, nn.ReLU()))
    first = nn.Linear(16, 9, bias=False)
    return nn.Sequential(nn.Dropout(0.1), nn.Flatten(), first, nn.ReLU(), body, frozen, nn.Linear(9, 3))


WORLDS = {
    "mlp": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), ADAM),
    "deep": (IMAGES, own(deep), ADAM),
    "tokens": (
        IMAGES,
        own(lambda: nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))),
        SGD,
    ),
    "smoothed": (classes(), named("mlp", hidden=[7]), {**ADAM, "label_smoothing": 0.1}),
    "linear": (numbers(), named("linear"), {**SGD, "lr": 0.02, "batch_size": 1}),
    "half": (numbers(), named("mlp", hidden=[4]), {**SGD, "lr": 0.02, "loss": "half_mse"}),
}


@pytest.mark.parametrize("name", WORLDS)
def test_a_run_is_that_of_autograd_bit_for_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data, build, settings = WORLDS[name]
    programs = family(
        data, build, [rule("L2-coupled"), [], rule("L1-proximal")], [0, 1, 1], steps=15, **settings
    )
    assert is_link(Pack(programs, CPU).state.layer)
    by_hand = packed(programs)
    monkeypatch.setattr(_stacking, "is_link", lambda layer: False)
    assert all(same(a, b) for a, b in zip(by_hand, packed(programs), strict=True))


def test_one_layer_without_a_pull_leaves_the_model_to_autograd() -> None:
    programs = family(IMAGES, own(layered), [[], []], [0, 1], steps=2)
    assert not is_link(Pack(programs, CPU).state.layer)


SLOPES: list[tuple[LossName, tuple[int, ...]]] = [
    *(("cross_entropy", shape) for shape in ((3, 5, 4), (2, 1, 1))),
    *((loss, shape) for loss in ("mse", "half_mse") for shape in ((3, 5, 4), (2, 1, 1), (2, 3, 2, 2))),
]


@pytest.mark.parametrize(("loss", "shape"), SLOPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_slope_of_a_loss_is_that_of_autograd(
    loss: LossName, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    numbers = torch.Generator().manual_seed(0)
    output = torch.randn(*shape, generator=numbers, dtype=dtype)
    classes = torch.randint(shape[2], shape[:2], generator=numbers)
    y = classes if loss == "cross_entropy" else torch.randn(*shape, generator=numbers, dtype=dtype)
    smoothings = (
        [None, torch.linspace(0.0, 0.5, shape[0], dtype=dtype)] if loss == "cross_entropy" else [None]
    )
    for smoothing in smoothings:
        leaf = output.clone().requires_grad_()
        exact = batch_losses(loss, leaf, y, smoothing)
        exact.sum().backward()
        losses, slope = batch_slopes(loss, output, y, smoothing)
        assert torch.equal(losses, exact.detach())
        assert leaf.grad is not None
        assert torch.equal(slope, leaf.grad)
