"""What the integrations say where their library is missing, and before training begins."""

import importlib
import subprocess
import sys

import pytest

import ridgeline
from ridgeline import L2, Rule
from ridgeline.integrations._shared import Waiting
from ridgeline.penalties import Penalty
from ridgeline.select import MODES, Mode

LIBRARIES = ["accelerate", "lightning", "transformers"]


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_missing_library_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"ridgeline.integrations.{name}", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=rf"needs {name}.*pip install 'ridgeline\[{name}\]'"
    ) as caught:
        importlib.import_module(f"ridgeline.integrations.{name}")
    assert caught.value.name is not None
    assert caught.value.name.startswith(name)


def test_the_trainer_without_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ridgeline.integrations.accelerate", "ridgeline.integrations.transformers"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    pytest.importorskip("transformers", reason="transformers is not installed: pip install --group peers")
    with pytest.raises(ModuleNotFoundError, match=r"needs accelerate.*'ridgeline\[transformers\]'"):
        importlib.import_module("ridgeline.integrations.transformers")


def test_nothing_is_imported_unasked() -> None:
    code = f"import ridgeline.integrations, sys\nprint(*[m for m in {LIBRARIES!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("mode", MODES)
def test_a_callback_cannot_add_to_the_loss(mode: Mode) -> None:
    cases: list[tuple[Penalty | list[Rule], Mode]] = [
        (L2(0.1), mode),
        ([Rule("*.weight", L2(0.1), mode)], "coupled"),
    ]
    for rules, otherwise in cases:
        if mode == "loss":
            with pytest.raises(ridgeline.RidgelineError, match="mode='coupled', whose gradient is the same"):
                Waiting(rules, otherwise, "optimizer", False)
        else:
            assert Waiting(rules, otherwise, "optimizer", False).regularizer is None


def test_unknown_mode() -> None:
    with pytest.raises(ridgeline.RidgelineError, match=r"mode is 'couple'; allowed: 'coupled', 'decoupled'"):
        Waiting(L2(0.1), "couple", "optimizer", False)  # type: ignore[arg-type]
