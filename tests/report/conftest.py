"""A small real run that the report's tests share."""

from pathlib import Path

import pytest

import ridgeline


def tiny_study(**changes: object) -> ridgeline.Study:
    """Digits with two axes, so that every part of the page has something to show."""
    specification: dict[str, object] = {
        "name": "tiny",
        "data": {"name": "digits", "n_train": 100, "label_noise": 0.3},
        "model": {"name": "mlp", "hidden": [48]},
        "train": {"lr": 0.01, "batch_size": 40, "steps": 240},
        "regularization": {"penalty": "l2", "strength": 0.0},
        "vary": {"regularization.strength": [0.0, 0.02, 0.3], "train.lr": [0.03, 0.01]},
        "evaluate": {"every": 40},
        "seeds": 3,
        **changes,
    }
    return ridgeline.Study(**specification)


@pytest.fixture(scope="package")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its report."""
    out = tmp_path_factory.mktemp("tiny") / "run"
    tiny_study().run(out).report()
    return out
