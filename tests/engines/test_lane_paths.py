"""Which path a model takes, and that it is refused wherever a lane would not be the trial alone."""

import threading
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ridgeline.lanes import path_of, train
from ridgeline.lanes._lane_loss import batch_losses
from ridgeline.lanes._shared import obstacle_to, shared
from ridgeline.noise import Clock
from tests.engines.lanes import SGD, family, packed
from tests.engines.worlds import CPU, classes, named, own, program


class Plain(nn.Module):
    """6 inputs, 3 outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x).relu())  # type: ignore[no-any-return]


class Mean(Plain):
    """Assigns its buffer anew at each pass."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return super().forward(x - self.mean)


class Counting(Plain):
    """Remembers how often it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(x)


class Frozen(nn.Sequential):
    """The usual way to keep normalization as it is."""

    def train(self, mode: bool = True) -> "Frozen":
        super().train(mode)
        for each in self:
            if isinstance(each, nn.BatchNorm1d):
                each.eval()
        return self


class Locked(Plain):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def frozen() -> nn.Module:
    return Frozen(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def replaced() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 3), nn.ReLU())
    setattr(model[1], "forward", lambda x: x)  # noqa: B010 - as people do
    return model


def masked() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    model.get_parameter("0.weight").register_hook(lambda g: g * 0.0)
    return model


def transformer() -> nn.Module:
    layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(nn.Unflatten(1, (1, 6)), layer, nn.Flatten(), nn.Linear(6, 3))


@pytest.mark.parametrize(
    ("factory", "kind", "reason"),
    [
        (Plain, "vmap", "is of type Plain"),
        (Mean, "solo", "the buffer mean"),
        (Counting, "solo", "changes calls"),
        (masked, "solo", "a hook acts on the gradient of 0.weight"),
        (Locked, "solo", "fails under torch.func.vmap"),
        (transformer, "vmap", ""),
    ],
)
def test_the_path_and_its_reason(factory: Any, kind: str, reason: str) -> None:
    each = program(classes(), own(factory))
    found = path_of(each, CPU, each.build(Clock(0), each.data))
    assert (found.kind, reason in found.reason) == (kind, True), found.reason


@pytest.mark.parametrize("factory", [frozen, replaced])
def test_what_a_module_does_by_itself_is_not_native(factory: Any) -> None:
    """And in lanes, if at all, it does what it does alone."""
    programs = family(classes(), own(factory), [[], []], [0, 1], steps=12, **SGD)
    found = path_of(programs[0], CPU, programs[0].build(Clock(0), programs[0].data))
    assert found.kind != "native"
    if found.kind == "vmap":
        for lane, each in zip(packed(programs), programs, strict=True):
            alone = train(each, CPU)
            for name, w in alone.weights.items():
                torch.testing.assert_close(lane.weights[name], w, rtol=1e-4, atol=1e-5)


def test_momentum_is_of_all_lanes_or_none() -> None:
    """A lane without has no buffer, and under RMSprop another order of roundings."""
    with_it, other, without = (program(classes(), optimizer="rmsprop", momentum=m) for m in (0.8, 0.4, 0.0))
    assert shared(with_it) == shared(other) != shared(without)


def test_smoothing_of_a_neighbour_is_no_matter() -> None:
    """Where a logit is −∞, 0 · ∞ would be no number."""

    class Masked(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.tensor([0.0, 0.0, -torch.inf])

    output = Masked()(classes().train.batch(torch.arange(8))[0])[None].expand(2, 8, 3)
    y = torch.zeros(2, 8, dtype=torch.int64)
    smooth, plain = torch.tensor([0.0, 0.1]), None
    found = batch_losses("cross_entropy", output, y, smooth)
    torch.testing.assert_close(found[0], batch_losses("cross_entropy", output, y, plain)[0])


def test_the_best_step_brings_back_buffers_that_no_state_dict_holds() -> None:
    class Drifting(Plain):
        seen: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(()), persistent=False)

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.seen.add_(1.0)
            return super().forward(x) * (1.0 + 0.1 * self.seen)

    each = program(classes(), own(Drifting), lr=1.0, steps=40)
    outcome = train(each, CPU)
    assert outcome.best_step is not None
    assert outcome.best_step < outcome.steps
    row = outcome.curves["step"].index(outcome.best_step)
    assert outcome.best["val"].loss == pytest.approx(outcome.curves["val_loss"][row], rel=1e-6)
    assert "seen" not in outcome.weights
    assert obstacle_to(each, Drifting()) == ""


def test_named_networks_are_native() -> None:
    each = program(classes(), named("mlp", hidden=[7], dropout=0.2))
    assert path_of(each, CPU, each.build(Clock(0), each.data)).kind == "native"
