"""Fixtures that every layer's tests may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with mnist/ and fashion-mnist/ that RIDGELINE_DATA names."""
    named = os.environ.get("RIDGELINE_DATA")
    if named and all((Path(named) / name).is_dir() for name in ("mnist", "fashion-mnist")):
        return Path(named)
    reason = "RIDGELINE_DATA names no folder with mnist/ and fashion-mnist/"
    if os.environ.get("RIDGELINE_DATA_REQUIRED") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
