"""Sealed files: tensors and facts in one safetensors file, with a checksum over both by which damage is noticed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ridgeline.errors import RidgelineError, reason
from ridgeline.store._tables import appearing


class DamagedError(RidgelineError):
    """Why a sealed file cannot be read."""


def write_sealed(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors on the CPU, and facts that JSON can hold, atomically.

    Raises:
        OSError: where the disk is full or read-only.
    """
    text = json.dumps(facts)
    with appearing(path) as hidden:
        try:
            save_file(dict(tensors), hidden, {"facts": text, "sha256": _checksum(tensors, text)})
        except SafetensorError as error:  # how it passes on what the system answers
            raise OSError(str(error)) from error


def read_sealed(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the facts of a sealed file.

    Raises:
        DamagedError: where it is cut off, changed, or no sealed file.
    """
    try:
        with safe_open(path, "pt") as file:
            kept = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise DamagedError(f"it cannot be read ({reason(error)})") from None
    text = kept.get("facts", "")
    if kept.get("sha256") != _checksum(tensors, text):
        raise DamagedError("its contents do not have its checksum")
    facts: dict[str, Any] = json.loads(text)
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    sha = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        t = tensors[name]
        sha.update(f"{name}|{t.dtype}|{list(t.shape)}|".encode())
        sha.update(t.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
