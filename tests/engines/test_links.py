"""Gradients taken by hand: those of autograd, bit for bit, whatever stands in the chain."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from ridgeline.data._examples import ArrayExamples
from ridgeline.errors import RidgelineError
from ridgeline.lanes import _turns, train
from ridgeline.lanes._lane_loss import batch_losses, batch_slopes
from ridgeline.lanes._links import is_link
from ridgeline.lanes._loss import batch_loss
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._settings import LossName
from tests.engines.lanes import ADAM, IMAGES, SGD, as_doubles, family, layered, packed, rule, without_channels
from tests.engines.worlds import CPU, classes, named, numbers, own, program, same


def deep() -> nn.Module:
    """Every layer that gives its pull, nested; one of them twice, one frozen, one without a bias."""
    twice, frozen = nn.Linear(9, 9), nn.Linear(9, 9)
    frozen.requires_grad_(False)
    body = nn.Sequential(twice, nn.ReLU(), nn.Dropout(0.4), nn.Sequential(twice, nn.ReLU()))
    first = nn.Linear(16, 9, bias=False)
    return nn.Sequential(nn.Dropout(0.1), nn.Flatten(), first, nn.ReLU(), body, frozen, nn.Linear(9, 3))


def images() -> nn.Module:
    """Convolutions and pools of every setting whose gradient is taken by hand; one of them frozen."""
    frozen = nn.Conv2d(4, 4, 1, bias=False)
    frozen.requires_grad_(False)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        frozen,
        nn.MaxPool2d(3, stride=1, padding=1, ceil_mode=True),
        nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(1, 2), groups=2, bias=False),
        nn.Conv2d(6, 4, 2, dilation=2),
        nn.MaxPool2d((2, 1), dilation=(1, 2)),
        nn.Sequential(nn.Dropout(0.2), nn.Flatten(), nn.LazyLinear(3)),
    )


def ready(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    """With lazy layers made for small images."""

    def made() -> nn.Module:
        model = make()
        model(torch.zeros(1, 1, 4, 4))
        return model

    return made


WORLDS = {
    "conv to flat": (
        IMAGES,
        own(lambda: nn.Sequential(nn.Conv2d(1, 3, 2), nn.Flatten(), nn.Linear(27, 3))),
        ADAM,
    ),
    "images without channels": (
        without_channels(IMAGES),
        own(lambda: nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 3))),
        SGD,
    ),
    "images": (IMAGES, own(ready(images)), ADAM),
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
    monkeypatch.setattr(_turns, "is_link", lambda layer: False)
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
    leaf = output.clone().requires_grad_()
    exact = batch_losses(loss, leaf, y, None)
    exact.sum().backward()
    losses, slope = batch_slopes(loss, output, y, None)
    assert torch.equal(losses, exact.detach())
    assert leaf.grad is not None
    assert torch.equal(slope, leaf.grad)


def test_the_slope_of_smoothed_labels_is_that_of_each_lane_alone() -> None:
    random = torch.Generator().manual_seed(0)
    output = torch.randn(3, 5, 4, generator=random)
    y = torch.randint(4, (3, 5), generator=random)
    smoothing = torch.tensor([0.0, 0.1, 0.5])
    losses, slope = batch_slopes("cross_entropy", output, y, smoothing)
    for lane, share in enumerate(smoothing.tolist()):
        leaf = output[lane].clone().requires_grad_()
        alone = batch_loss("cross_entropy", leaf, y[lane], share)
        alone.backward()
        torch.testing.assert_close(losses[lane], alone.detach())
        torch.testing.assert_close(slope[lane], leaf.grad)


def test_targets_of_another_dtype_train() -> None:
    data, doubles = numbers(), as_doubles(numbers())
    assert isinstance(data.train, ArrayExamples)
    assert isinstance(doubles.train, ArrayExamples)
    mixed = replace(data, train=replace(data.train, y=doubles.train.y))
    found, plain = (
        packed(family(each, named("linear"), [[], []], [0, 1], steps=4, lr=0.02)) for each in (mixed, data)
    )
    for a, b in zip(found, plain, strict=True):
        for name, w in a.weights.items():
            torch.testing.assert_close(w, b.weights[name])


def test_outputs_that_would_be_broadcast_are_refused() -> None:
    build = own(lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(-2, -1)))
    with pytest.raises(RidgelineError, match=r"shape \(\d+,\), the targets \(\d+, 1\)"):
        train(program(numbers(), own(lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)))), CPU)
    with pytest.raises(RidgelineError, match=r"shape \(\d+,\), the targets \(\d+, 1\)"):
        packed([program(numbers(), build, seed=k) for k in range(2)])
    for losses in (batch_losses, batch_slopes):
        with pytest.raises(RidgelineError, match=r"shape \(8,\), the targets \(8, 1\)"):
            losses("mse", torch.zeros(2, 8), torch.zeros(2, 8, 1), None)
