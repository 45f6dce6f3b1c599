"""What the tests against other libraries share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.threads import one_thread as one_thread


@pytest.fixture(scope="module")
def keras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Keras on torch; its settings file is read from, and written to, a folder of the test's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        found = pytest.importorskip("keras", reason="Keras is not installed: pip install --group peers")
        if found.backend.backend() != "torch":
            pytest.skip(f"Keras was imported before, on {found.backend.backend()}")
        yield found
