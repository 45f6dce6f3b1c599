"""The examples run as their reader would run them, and show what they promise."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"

# What each example's output must hold.
PROMISES = {
    "plain_loop.py": [
        "1,472 of 1,667 weights are penalised",
        "normalization (BatchNorm1d)",
        "ridgeline/penalty",
    ],
    "adamw_or_loss.py": ["SGD", "Adam"],
    "exact_zeros.py": ["proximal  47 of 50 weights exactly zero", "loss       0 of 50"],
    "from_scratch.py": [
        "strength 3: ‖w‖ from scratch 0.0415, torch 0.0415, ridgeline 0.0415",
        "dropout 0 and 0: test accuracy from scratch 0.910, torch 0.910",
    ],
    "per_layer.py": ["L2 + MaxNorm", "proximal", "rule 1: embed.*"],
    "three_models.py": ["scale-invariant", "tied to head.weight", "2 dominating, 2 dead", "saturated"],
}


def output(name: str) -> str:
    run = [sys.executable, "-W", "error", str(EXAMPLES / name)]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", sorted(PROMISES))
def test_example(name: str) -> None:
    shown = output(name)
    for promise in PROMISES[name]:
        assert promise in shown


def test_no_example_is_forgotten() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISES)


def test_adam_tells_loss_from_decoupled() -> None:
    found = re.findall(
        r"^(\w+).*coupled ([\d.e+-]+), .*decoupled ([\d.e+-]+)", output("adamw_or_loss.py"), re.M
    )
    shares = {name: (float(coupled), float(decoupled)) for name, coupled, decoupled in found}
    assert shares["SGD"][0] < 1e-5
    assert shares["SGD"][1] < 1e-4
    assert shares["Adam"][0] < 1e-5
    assert shares["Adam"][1] > 0.1
