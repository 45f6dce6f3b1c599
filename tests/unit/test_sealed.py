"""Sealed files: what was written is read, and nothing else: no flipped bit, no cut, no stranger passes."""

import errno
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ridgeline.store import DamagedError, read_sealed, write_sealed

TENSORS = {
    "float": torch.tensor([1.5, math.nan, -math.inf, 5e-324]),
    "double": torch.tensor([[1.0 / 3.0]], dtype=torch.float64),
    "low": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "yes": torch.tensor([True, False]),
    "none": torch.empty(2, 0),
}
FACTS: dict[str, Any] = {"lanes": ["a", "b"], "loss": 0.1, "none": None, "best": math.inf}


def equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    """The same names, shapes, dtypes and bits."""
    return found.keys() == expected.keys() and all(
        (found[name].shape, found[name].dtype, bits(found[name])) == (t.shape, t.dtype, bits(t))
        for name, t in expected.items()
    )


def bits(t: Tensor) -> list[int]:
    """Its bytes."""
    found: list[int] = t.reshape(-1).view(torch.uint8).tolist()
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed file."""
    write_sealed(tmp_path / "a.safetensors", TENSORS, FACTS)
    return tmp_path / "a.safetensors"


def test_what_was_written_is_read(path: Path) -> None:
    tensors, facts = read_sealed(path)
    assert equal(tensors, TENSORS)
    assert facts == FACTS
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_flipped_bit_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        try:
            tensors, facts = read_sealed(path)
        except DamagedError:
            continue
        assert equal(tensors, TENSORS)  # space that nothing is read from
        assert facts == FACTS


def test_a_cut_anywhere_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError):
            read_sealed(path)
    path.write_bytes(whole + b"0")
    with pytest.raises(DamagedError):
        read_sealed(path)


def test_strangers_are_noticed(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "plain")
    (tmp_path / "text").write_text("weights")
    for name in ("plain", "text", "nothing"):
        with pytest.raises(DamagedError):
            read_sealed(tmp_path / name)


def test_what_cannot_be_written_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(tensors: object, file: Path, metadata: object) -> None:
        file.write_bytes(b"half")
        raise SafetensorError(f"I/O error: No space left on device (os error {errno.ENOSPC})")

    monkeypatch.setattr("ridgeline.store._sealed.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        write_sealed(path, TENSORS, {})
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
