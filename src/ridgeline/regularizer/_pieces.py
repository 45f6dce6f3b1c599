"""Tensors as lines of memory, cut into pieces that stay in a processor's cache."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ridgeline.regularizer._scratch import CHUNK, most, scratch


def flat(*tensors: Tensor) -> tuple[Tensor, ...] | None:
    """Each tensor as one dimension over its own memory; None unless all are dense in the same order."""
    first = tensors[0]
    if all(t.is_contiguous() for t in tensors):
        return tuple(t.view(-1) for t in tensors)
    same = all(t.stride() == first.stride() and t.shape == first.shape for t in tensors)
    if not same or not torch.ops.aten.is_non_overlapping_and_dense(first):
        return None
    return tuple(torch.as_strided(t, (t.numel(),), (1,), t.storage_offset()) for t in tensors)


def blocks(*tensors: Tensor, share: float = 1) -> Iterator[tuple[Tensor, ...]]:
    """The tensors cut into the same pieces of at most CHUNK/share elements; whole where not dense alike."""
    lines = flat(*tensors)
    if lines is None:
        yield tensors
        return
    n = lines[0].numel()
    size = max(int(most(lines[0].dtype, CHUNK) / share), 1)
    if n <= size:
        yield lines
        return
    yield from zip(*(line.split(size) for line in lines), strict=True)


def with_scratch(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The tensors in pieces, each with scratch memory like that of the last one; looking for it takes time."""
    out: Tensor | None = None
    for found in blocks(*tensors):
        if out is None or out.shape != found[-1].shape:
            out = scratch(found[-1])
        yield (*found, out)
