"""Scratch memory that outlives a pass.

On a CPU an allocation of a megabyte comes fresh from the system, and its page faults cost more than the
arithmetic that it is for. One piece of a pass' size is therefore kept, for each thread and dtype.
"""

import threading

import torch
from torch import Tensor

# Elements of a pass: a megabyte in float32.
CHUNK = 1 << 18


def most(dtype: torch.dtype, chunk: int) -> int:
    """Elements of a pass in a dtype: `chunk`, and of a wider one than float32 accordingly fewer."""
    return max(chunk * 4 // max(dtype.itemsize, 4), 1)


class _Kept(threading.local):
    """The pieces of one thread, by dtype."""

    def __init__(self) -> None:
        self.pieces: dict[torch.dtype, Tensor] = {}


_KEPT = _Kept()


def scratch(like: Tensor) -> Tensor:
    """Memory of the shape of `like`, its contents arbitrary, in use until the next call."""
    size = most(like.dtype, CHUNK)
    if like.device.type != "cpu" or like.numel() > size or torch.compiler.is_compiling():
        return torch.empty_like(like)
    kept = _KEPT.pieces.get(like.dtype)
    if kept is None:
        with torch.inference_mode(False):  # an inference tensor could not be written to later
            kept = _KEPT.pieces[like.dtype] = torch.empty(size, dtype=like.dtype)
    return kept[: like.numel()].view(like.shape)
