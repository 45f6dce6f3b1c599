"""Teacher-forced: from one state, one update of a lane is one update of solo, to rounding."""

from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from ridgeline.data import Data
from ridgeline.lanes import Schedule
from ridgeline.noise import Clock
from tests.engines.lanes import (
    ADAM,
    ADAMW,
    IMAGES,
    NESTEROV,
    PENALTIES,
    RMSPROP,
    RMSPROP_MOMENTUM,
    SGD,
    Attention,
    ResidualNetwork,
    as_doubles,
    as_words,
    doubled,
    family,
    layered,
    rule,
    step_errors,
    words,
)
from tests.engines.worlds import Build, classes, named, numbers, own

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": SGD,
    "nesterov": NESTEROV,
    "adam": ADAM,
    "adamw": ADAMW,
    "rmsprop": RMSPROP,
    "rmsprop-momentum": RMSPROP_MOMENTUM,
}
MODELS: dict[str, tuple[Data, Build]] = {
    "mlp": (classes(), named("mlp", hidden=[7, 5], dropout=0.3)),
    "linear": (numbers(), named("linear")),
    "cnn": (IMAGES, named("cnn", channels=[3], hidden=5, dropout=0.2)),
    "layered": (IMAGES, own(layered)),
    "residual": (IMAGES, own(ResidualNetwork)),
    "attention": (classes(), own(Attention)),
    "words": (as_words(classes()), own(words)),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_that_of_solo(name: str, optimizer: str) -> None:
    data, build = MODELS[name]
    rules = (
        [[], [], []]
        if OPTIMIZERS[optimizer].get("weight_decay")
        else [[], rule("L2-coupled"), rule("L2-coupled", 0.3)]
    )
    programs = family(data, build, rules, [0, 1, 1], **OPTIMIZERS[optimizer])
    # the others fit their few examples by then: what is left of a gradient is rounding
    long = name in ("mlp", "cnn", "residual", "attention") and optimizer in ("sgd", "adam", "adamw")
    for at in (1, 10, 100, 1000) if long else (1, 10, 100):
        assert max(step_errors(programs, at)) < 1e-5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["mlp", "layered", "residual"])
def test_a_step_in_float64(name: str, optimizer: str) -> None:
    data, build = MODELS[name]
    programs = family(as_doubles(data), doubled(build), [[], [], []], [0, 1, 2], **OPTIMIZERS[optimizer])
    for at in (1, 10, 100):
        assert max(step_errors(programs, at)) < 1e-12


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "adamw"])
@pytest.mark.parametrize("name", PENALTIES)
def test_a_step_of_every_mode(name: str, optimizer: str) -> None:
    data, build = MODELS["mlp"]
    rules = [rule(name), rule(name, 3.0), [], rule("L2-coupled"), rule(name, 0.1)]
    programs = family(as_doubles(data), doubled(build), rules, [0, 1, 1, 2, 3], **OPTIMIZERS[optimizer])
    for at in (1, 10, 50):
        assert max(step_errors(programs, at)) < 1e-12


def test_clipping_smoothing_and_schedules_go_lane_by_lane() -> None:
    data, build = MODELS["mlp"]
    programs = family(as_doubles(data), doubled(build), [rule("L2-loss")] * 4, [0, 1, 2, 3], **NESTEROV)
    changes: list[dict[str, Any]] = [
        {"clip_norm": 0.1},
        {"label_smoothing": 0.2},
        {"schedule": Schedule("cosine", warmup=5)},
        {"momentum": 0.5, "clip_norm": 0.3},
    ]
    programs = [
        replace(p, training=replace(p.training, steps=60, **c))
        for p, c in zip(programs, changes, strict=True)
    ]
    for at in (1, 10, 50):
        assert max(step_errors(programs, at)) < 1e-12


def test_rmsprop_with_settings_of_its_own_in_each_lane() -> None:
    data, build = MODELS["mlp"]
    settings = {"optimizer": "rmsprop", "lr": 0.01, "momentum": 0.5}  # of all lanes, or of none
    rules = [rule("L1-proximal"), [], rule("L1-proximal"), rule("L2-loss")]
    programs = family(as_doubles(data), doubled(build), rules, [0, 1, 2, 3], **settings)
    changes: list[dict[str, Any]] = [
        {"alpha": 0.5},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"eps": 1e-3},
        {"clip_norm": 0.3},
    ]
    programs = [replace(p, training=replace(p.training, **c)) for p, c in zip(programs, changes, strict=True)]
    for at in (1, 10, 50):
        assert max(step_errors(programs, at)) < 1e-12


def test_tied_and_frozen_parameters() -> None:
    def tied() -> nn.Module:
        first, last = nn.Linear(6, 6), nn.Linear(6, 6)
        last.weight = first.weight
        frozen = nn.Linear(6, 3)
        frozen.weight.requires_grad_(False)
        return nn.Sequential(first, nn.ReLU(), last, nn.ReLU(), frozen)

    programs = family(as_doubles(classes()), doubled(own(tied)), [rule("L2-loss"), []], [0, 1], **ADAM)
    assert max(step_errors(programs, 10)) < 1e-12
    assert list(own(tied)(Clock(0), classes()).state_dict())[:4] == [
        "0.weight",
        "0.bias",
        "2.weight",
        "2.bias",
    ]
