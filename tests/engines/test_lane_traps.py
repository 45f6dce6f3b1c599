"""Modules and data that would make a lane another trial than the one alone, silently: each is noticed, or right."""

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ridgeline.data import Data, Splits, draw
from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes import path_of, train
from ridgeline.noise import Clock
from tests.engines.lanes import ADAMW, SGD, as_words, family, packed, step_errors
from tests.engines.test_lane_paths import Mean, Plain
from tests.engines.worlds import CPU, classes, own, program


def remembering(start: Callable[[], Any], after: Callable[[Any, Tensor], Any]) -> type[nn.Module]:
    """A module that keeps something from pass to pass in an attribute."""

    class Remembering(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.kept = start()

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                found = after(self.kept, x)
                self.kept = self.kept if found is None else found
            return super().forward(x)

    return Remembering


def drawing(draw: Callable[[], float]) -> type[nn.Module]:
    """A module that leaves a layer out now and then."""

    class Drawing(Plain):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.layer(x)) if draw() < 0.1 else super().forward(x)

    return Drawing


class SlowMean(Mean):
    """Puts a buffer in the place of itself that has hardly changed."""

    def forward(self, x: Tensor) -> Tensor:
        self.mean = self.mean + 1e-9 * x.mean(0).detach()
        return Plain.forward(self, x - self.mean)


class ExtraState(Plain):
    """Its state_dict holds what is no tensor of the model."""

    def get_extra_state(self) -> Tensor:
        return torch.ones(2)

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing."""


class Spare(nn.Sequential):
    """Has a parameter that takes no part."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(6, 3))
        self.spare = nn.Parameter(torch.ones(4))


class Called(nn.Sequential):
    """Does something of its own when it is called."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return 2.0 * super().__call__(*args, **kwargs)


REMEMBERED = "changes kept, which is one for all lanes"
TRAPS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "plain tensor": (remembering(lambda: torch.zeros(()), lambda t, x: t.add_(1)), REMEMBERED),
    "tensor that comes": (remembering(lambda: None, lambda t, x: x.detach().mean(0)), REMEMBERED),
    "list of tensors": (remembering(list, lambda rows, x: rows.append(x.detach().mean())), REMEMBERED),
    "number of NumPy": (remembering(lambda: np.int64(0), lambda n, x: n + 1), REMEMBERED),
    "array": (remembering(lambda: np.zeros(2), lambda a, x: np.add(a, 1, out=a)), REMEMBERED),
    "iterator": (remembering(lambda: iter(range(1000)), lambda n, x: next(n) and None), REMEMBERED),
    "generator": (
        remembering(lambda: np.random.default_rng(0), lambda g, x: g.random() and None),
        REMEMBERED,
    ),
    "unknown object": (remembering(lambda: (i for i in itertools.count()), lambda g, x: None), "fails under"),
    "random": (drawing(random.random), "changes Python's random state"),
    "numpy.random": (drawing(np.random.random), "changes NumPy's random state"),
    "buffer replaced": (SlowMean, "puts another tensor in the place of the buffer mean"),
    "extra state": (ExtraState, "its state_dict holds more than its parameters and buffers"),
    "spare parameter": (Spare, "spare takes no part in the loss"),
}


@pytest.mark.parametrize("name", TRAPS)
def test_what_lanes_would_do_otherwise_goes_to_solo(name: str) -> None:
    factory, reason = TRAPS[name]
    each = program(classes(), own(factory))
    found = path_of(each, CPU, each.build(Clock(0), each.data))
    assert (found.kind, reason in found.reason) == ("solo", True), found.reason


def test_a_constant_of_any_kind_is_no_obstacle() -> None:
    class Constant(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.scale, self.table = torch.tanh, np.float32(2.0), [torch.ones(3), {"a": 1}]

        def forward(self, x: Tensor) -> Tensor:
            return self.act(super().forward(x)) * float(self.scale) + self.table[0]  # type: ignore[operator]

    each = program(classes(), own(Constant))
    assert path_of(each, CPU, each.build(Clock(0), each.data)).kind == "vmap"


def test_a_call_of_its_own_is_not_native() -> None:
    programs = family(classes(), own(lambda: Called(nn.Linear(6, 3))), [[], []], [0, 1], **SGD)
    assert path_of(programs[0], CPU, Called(nn.Linear(6, 3))).kind == "vmap"
    assert max(step_errors(programs, 3)) < 1e-5


def test_parametrized_layers_are_lanes() -> None:
    """Their classes are made anew for each model."""

    def normed() -> nn.Module:
        first = nn.utils.parametrizations.weight_norm(nn.Linear(6, 5))
        return nn.Sequential(first, nn.ReLU(), nn.Linear(5, 3))

    programs = family(classes(), own(normed), [[], []], [0, 1], **ADAMW)
    assert path_of(programs[0], CPU, normed()).kind == "vmap"
    assert max(step_errors(programs, 10)) < 1e-5


class Words(nn.Module):
    """An embedding with padding, in a module of a person's own."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(5, 4, padding_idx=2), nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x).flatten(1))  # type: ignore[no-any-return]


def words() -> nn.Module:
    """The same, natively."""
    return nn.Sequential(nn.Embedding(5, 4, padding_idx=-3), nn.Flatten(), nn.Linear(24, 3))


@pytest.mark.parametrize("factory", [Words, words])
def test_padding_is_not_trained(factory: Callable[[], nn.Module]) -> None:
    programs = family(as_words(classes()), own(factory), [[], []], [0, 1], **SGD)
    for at in (1, 5):
        assert max(step_errors(programs, at)) < 1e-5
    for lane in packed(programs):
        embedding = next(iter(lane.weights.values()))
        assert not embedding[2].any()
        assert embedding[1].any()


def test_an_index_out_of_range_is_no_row_of_a_neighbour() -> None:
    data = as_words(classes())
    assert isinstance(data.train, ArrayExamples)
    wrong = replace(data, train=replace(data.train, x=data.train.x + 1))
    programs = family(data, own(words), [[], []], [0, 1], **SGD)
    programs[1] = replace(programs[1], data=wrong)
    with pytest.raises(IndexError, match="the embedding has 5 rows"):
        packed(programs)


def test_each_lane_has_its_own_labels_where_the_inputs_are_one_tensor() -> None:
    x = torch.randn(30, 6)

    def data(seed: int) -> Data:
        y = torch.randint(0, 3, (30,), generator=torch.Generator().manual_seed(seed))
        return draw(lambda s: Splits(train=(x, y), val=(x[:9], y[:9])), 0)

    programs = family(data(0), own(Plain), [[], []], [0, 1], **SGD)
    programs[1] = replace(programs[1], data=data(1))
    for lane, each in zip(packed(programs), programs, strict=True):
        assert lane.curves["train_loss"] == pytest.approx(train(each, CPU).curves["train_loss"], rel=1e-4)


def test_a_neighbour_that_clips_leaves_an_infinite_gradient_as_it_is() -> None:
    """∞ is no limit, and ∞/∞ no number."""
    programs = family(classes(), own(Plain), [[], []], [0, 1], steps=12, **{**SGD, "lr": 1e-30})
    data = programs[0].data
    assert isinstance(data.train, ArrayExamples)
    huge = replace(data.train, x=data.train.x * 1e25)
    programs[0] = replace(programs[0], data=replace(data, train=huge))
    clipped = replace(programs[1], training=replace(programs[1].training, clip_norm=1.0))
    beside, alone = packed([programs[0], clipped])[0], train(programs[0], CPU)
    assert (beside.status, beside.steps) == (alone.status, alone.steps) == ("done", 12)
