"""The layout of a pack's memory: one flat buffer per kind, parameter-major, each parameter [lanes, *shape].

Letters in shapes: L lanes, B examples of a batch, n elements of one lane's parameter.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# A kernel treats what its vectors leave over with other instructions, which may round otherwise, and matrix
# products round by where in a cache line their operands begin. Rows of whole cache lines leave nothing over
# and begin alike.
ROW = 16
_END = 64


@dataclass(frozen=True)
class Slot:
    """One parameter's place: `size` elements a lane, rows `stride` apart, after `before` elements a lane."""

    name: str
    shape: tuple[int, ...]
    size: int
    stride: int
    before: int


@dataclass(frozen=True)
class Layout:
    """The parameters of a pack, in the order of the model, and the memory they take."""

    slots: tuple[Slot, ...]
    dtype: torch.dtype
    device: torch.device

    @property
    def width(self) -> int:
        """Elements of one lane, padding included."""
        return sum(slot.stride for slot in self.slots)

    def empty(self, lanes: int) -> Tensor:
        """A flat buffer of zeros for so many lanes."""
        total = -(-self.width * lanes // _END) * _END
        return torch.zeros(total, dtype=self.dtype, device=self.device)

    def rows(self, flat: Tensor, slot: Slot, lanes: int) -> Tensor:
        """One parameter of every lane, padding included: a contiguous view [L, stride]."""
        start = slot.before * lanes
        return flat[start : start + slot.stride * lanes].view(lanes, slot.stride)

    def view(self, flat: Tensor, slot: Slot, lanes: int) -> Tensor:
        """One parameter of every lane: a view [L, *shape], contiguous where rows have no padding."""
        return self.rows(flat, slot, lanes)[:, : slot.size].view(lanes, *slot.shape)

    def views(self, flat: Tensor, lanes: int) -> dict[str, Tensor]:
        """Every parameter by name, [L, *shape]."""
        return {slot.name: self.view(flat, slot, lanes) for slot in self.slots}

    def chosen(self, flat: Tensor, lanes: int, index: Tensor) -> Tensor:
        """The buffer of the lanes in `index`, in that order; a lane may be named twice."""
        made = self.empty(len(index))
        for slot in self.slots:
            self.rows(made, slot, len(index)).copy_(self.rows(flat, slot, lanes)[index])
        return made


def layout_of(parameters: Mapping[str, Tensor]) -> Layout:
    """The layout of one model's parameters, all of one dtype and device."""
    slots: list[Slot] = []
    before = 0
    for name, w in parameters.items():
        size = math.prod(w.shape)
        stride = -(-size // ROW) * ROW
        slots.append(Slot(name, tuple(w.shape), size, stride, before))
        before += stride
    first = next(iter(parameters.values()))
    return Layout(tuple(slots), first.dtype, first.device)


def over_lanes(values: Sequence[float], like: Tensor) -> Tensor:
    """One number a lane, shaped [L, 1, …] to multiply a tensor of `like`'s dimensions."""
    made = torch.tensor(values, dtype=like.dtype, device=like.device)
    return made.view(-1, *([1] * (like.ndim - 1)))
