"""Lanes on every device that is here: the trials that solo gives on it, the noise that the CPU draws."""

import copy
from typing import Any

import pytest
import torch

from ridgeline.lanes import checkpoint_of, run_pack, train, train_pack
from ridgeline.lanes._masks import LaneDropout, Sources
from tests.engines.lanes import (
    ADAM,
    ADAMW,
    IMAGES,
    NESTEROV,
    Attention,
    ResidualNetwork,
    family,
    rule,
    step_errors,
)
from tests.engines.worlds import CPU, classes, named, own

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
DEVICES = [pytest.param(CPU, id="cpu"), pytest.param(torch.device("cuda"), id="cuda", marks=CUDA)]
WORLDS = {
    "mlp": (classes(), named("mlp", hidden=[7, 5], dropout=0.3)),
    "cnn": (IMAGES, named("cnn", channels=[3], hidden=5, dropout=0.2)),
    "residual": (IMAGES, own(ResidualNetwork)),
    "attention": (classes(), own(Attention)),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("settings", [NESTEROV, ADAM], ids=["nesterov", "adam"])
@pytest.mark.parametrize("name", WORLDS)
def test_a_step_is_that_of_solo(name: str, settings: dict[str, Any], device: torch.device) -> None:
    data, build = WORLDS[name]
    rules = [[], rule("L2-coupled"), rule("L1-proximal"), rule("L2-loss", 0.3)]
    programs = family(data, build, rules, [0, 1, 1, 2], **settings)
    for at in (1, 10):
        assert max(step_errors(programs, at, device)) < 1e-5


@pytest.mark.parametrize("device", DEVICES)
def test_a_whole_run_is_that_of_solo(device: torch.device) -> None:
    data, build = WORLDS["mlp"]
    programs = family(data, build, [[], []], [0, 1], steps=20, clip_norm=1.0, label_smoothing=0.1, **ADAMW)
    for program, lane in zip(programs, train_pack(programs, device), strict=True):
        alone = train(program, device)
        assert (lane.status, lane.steps, lane.best_step) == (alone.status, alone.steps, alone.best_step)
        assert lane.curves["val_loss"] == pytest.approx(alone.curves["val_loss"], rel=1e-4)
        assert {each.device.type for each in lane.weights.values()} == {"cpu"}
        torch.testing.assert_close(lane.last["val"].losses, alone.last["val"].losses, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_masks_are_those_of_the_cpu(device: torch.device) -> None:
    drawn = []
    for where in (CPU, device):
        sources = Sources([3, 5, 3], where)
        sources.step = 7
        x = torch.ones(3, 4, 9, device=where)
        drawn.append(LaneDropout([0.5, 0.2, 0.0], "site", sources).factors(x).cpu())
    assert torch.equal(*drawn)


@pytest.mark.parametrize("device", DEVICES)
def test_a_pack_goes_on_from_a_checkpoint(device: torch.device) -> None:
    data, build = WORLDS["mlp"]
    programs = family(data, build, [[], rule("L2-coupled")], [0, 1], steps=20, **ADAM)
    kept = []

    def keep(pack: Any) -> None:
        if pack.step == 9:
            kept.append(copy.deepcopy(checkpoint_of(pack, ["a", "b"])))  # it shares memory with the pack

    whole = dict(run_pack(programs, device, after_update=keep))
    again = dict(run_pack(programs, device, begun=(kept[0], ["a", "b"])))
    for place, outcome in whole.items():
        for name, w in outcome.weights.items():
            assert torch.equal(w, again[place].weights[name]), name
