"""Scratch memory that outlives a pass.

On a CPU an allocation of half a megabyte comes fresh from the system, and its page faults cost more than
the arithmetic that it is for. Two pieces of a pass' size are therefore kept, for each thread and dtype.
"""

import threading

import torch
from torch import Tensor

# Elements of a pass: half a megabyte in float32, two of which stay in a core's cache.
CHUNK = 1 << 17


class _Kept(threading.local):
    """The pieces of one thread, by (dtype, number)."""

    def __init__(self) -> None:
        self.pieces: dict[tuple[torch.dtype, int], Tensor] = {}


_KEPT = _Kept()


def scratch(like: Tensor, number: int = 0) -> Tensor:
    """Memory of the shape of `like`, its contents arbitrary until the next call with the same number.

    Args:
        number: 0 or 1, for two that are in use at once.
    """
    if like.device.type != "cpu" or like.numel() > CHUNK:
        return torch.empty_like(like)
    key = (like.dtype, number)
    kept = _KEPT.pieces.get(key)
    if kept is None:
        with torch.inference_mode(False):  # an inference tensor could not be written to later
            kept = _KEPT.pieces[key] = torch.empty(CHUNK, dtype=like.dtype)
    return kept[: like.numel()].view(like.shape)
