"""A person's own model: how its factory is found, seeded and given its dropout rate."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ridgeline.errors import RidgelineError
from ridgeline.models import build_factory, import_factory
from ridgeline.noise import Clock, Dropout


def plain(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.Dropout(0.1), nn.Linear(width, 2), nn.Dropout(0.2))


def takes_rate(dropout: float = 0.5) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.Dropout(dropout / 2))


def takes_all(**options: Any) -> nn.Module:
    return takes_rate(options["dropout"])


def rates(model: nn.Module) -> list[float]:
    assert not any(type(m) is nn.Dropout for m in model.modules())
    return [m.p for m in model.modules() if isinstance(m, Dropout)]


def test_weights_depend_on_the_seed_only() -> None:
    weights = []
    for seed, outer in ((1, 0), (1, 7), (2, 0)):
        torch.manual_seed(outer)
        before = torch.get_rng_state()
        weights.append(torch.cat([p.flatten() for p in build_factory(plain, {}, Clock(seed)).parameters()]))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_options_reach_the_factory() -> None:
    model = build_factory(plain, {"width": 9}, Clock(0))
    assert next(model.parameters()).shape == (9, 3)
    assert rates(model) == [0.1, 0.2]


def test_dropout_goes_to_the_argument_or_to_every_layer() -> None:
    assert rates(build_factory(takes_rate, {"dropout": 0.4}, Clock(0))) == [0.2]
    assert rates(build_factory(takes_all, {"dropout": 0.4}, Clock(0))) == [0.2]
    assert rates(build_factory(plain, {"dropout": 0.4}, Clock(0))) == [0.4, 0.4]
    assert rates(build_factory(plain, {"dropout": 0.0}, Clock(0))) == [0.0, 0.0]


def test_the_layers_share_the_trials_clock() -> None:
    clock = Clock(3)
    model = build_factory(plain, {}, clock)
    assert all(m.clock is clock for m in model.modules() if isinstance(m, Dropout))


def test_dropout_without_effect_is_refused() -> None:
    with pytest.raises(RidgelineError, match=r"model\.dropout has no effect: .*without nn\.Dropout layers"):
        build_factory(lambda: nn.Linear(2, 2), {"dropout": 0.3}, Clock(0))


def test_what_is_no_module_is_refused() -> None:
    def weights() -> dict[str, int]:
        return {}

    with pytest.raises(RidgelineError, match=r"weights returned a dict, not a torch\.nn\.Module; return"):
        build_factory(weights, {}, Clock(0))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two modules in it, forgotten afterwards."""
    (tmp_path / "own_models.py").write_text(
        "def make():\n    return 3\nclass Net:\n    @staticmethod\n    def make(): return 4\nx = 1\n"
    )
    (tmp_path / "broken_models.py").write_text("raise OSError('no licence')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return tmp_path


def test_the_working_directory_is_importable(folder: Path) -> None:
    assert import_factory("own_models:make", "model.factory")() == 3
    assert import_factory("own_models:Net.make", "model.factory")() == 4
    assert import_factory("torch.nn:Linear", "model.factory") is nn.Linear


@pytest.mark.parametrize("path", ["own_models", "own_models:", ":make", "", "own_models.make"])
def test_another_form_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(RidgelineError, match=r"model\.factory is .*write it as 'package\.module:function'"):
        import_factory(path, "model.factory")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no_such_models:make", r"'no_such_models' cannot be imported \(ModuleNotFoundError.*check the name"),
        ("broken_models:make", r"'broken_models' cannot be imported \(OSError: no licence\)"),
        ("..own_models:make", "cannot be imported"),
        ("own_models:made", "'own_models' has no function 'made'; check the name"),
        ("own_models:Net.made", "has no function 'Net.made'"),
        ("own_models:x", "has no function 'x'"),
    ],
)
def test_what_cannot_be_had_is_refused(folder: Path, path: str, message: str) -> None:
    with pytest.raises(RidgelineError, match=rf"data\.factory: .*{message}"):
        import_factory(path, "data.factory")
