"""What a pack reads: the examples of all its lanes laid end to end, and each lane's own order of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ridgeline.data import Examples
from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes._program import epoch_order
from ridgeline.lanes._stack import ROW

# Bytes of a processor's cache line.
_LINE = 4 * ROW


@dataclass(frozen=True)
class LaneSet:
    """One set of examples for each lane, all of one size.

    Attributes:
        x, y: the examples of all distinct sets, end to end.
        first: where each lane's own begin, (L,) on the CPU.
        size: examples of a lane.
    """

    x: Tensor
    y: Tensor
    first: Tensor
    size: int

    @cached_property
    def shared(self) -> bool:
        """Whether all lanes read the same examples."""
        return bool((self.first == self.first[0]).all())

    def read(self, rows: Tensor, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Examples `rows`, (m,) for every lane or (L, m), of the lanes start…stop: x [l, m, …], y [l, m, …]."""
        first = self.first[start:stop]
        if rows.ndim == 1 and self.shared:
            place = (rows + first[0]).to(self.x.device)
            x, y = self.x.index_select(0, place), self.y.index_select(0, place)
            return x.expand(stop - start, *x.shape), y.expand(stop - start, *y.shape)
        chosen = rows if rows.ndim == 1 else rows[start:stop]
        place = (first[:, None] + chosen).to(self.x.device)
        flat, shape = place.flatten(), place.shape
        return self.x.index_select(0, flat).unflatten(0, shape), self.y.index_select(0, flat).unflatten(
            0, shape
        )

    def part(self, begin: int, end: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Examples begin…end of the lanes start…stop; no copy where lanes share them."""
        if not self.shared:
            return self.read(torch.arange(begin, end), start, stop)
        place = int(self.first[0])
        x, y = self.x[place + begin : place + end], self.y[place + begin : place + end]
        if x.data_ptr() % _LINE:  # products round by where their operands begin
            x = x.clone()
        return x.expand(stop - start, *x.shape), y.expand(stop - start, *y.shape)

    def cut(self, start: int | None, stop: int | None) -> "LaneSet":
        """A slice of every lane's set."""
        a, b, _ = slice(start, stop).indices(self.size)
        return LaneSet(self.x, self.y, self.first + a, max(b - a, 0))

    def of(self, index: Tensor) -> "LaneSet":
        """The set of these lanes."""
        return LaneSet(self.x, self.y, self.first[index], self.size)


def lane_set(sets: Sequence[Examples], device: torch.device) -> LaneSet:
    """The sets of the lanes; equal ones are held once."""
    distinct: list[ArrayExamples] = []  # path_of sends streams to solo
    which: list[int] = []
    seen: dict[int, int] = {}
    for each in sets:
        assert isinstance(each, ArrayExamples)
        if id(each) not in seen:
            seen[id(each)] = next(
                (i for i, other in enumerate(distinct) if _equal(each, other)), len(distinct)
            )
            if seen[id(each)] == len(distinct):
                distinct.append(each)
        which.append(seen[id(each)])
    size = len(sets[0])
    x, y = distinct[0].x, distinct[0].y
    if len(distinct) > 1:
        x, y = torch.cat([d.x for d in distinct]), torch.cat([d.y for d in distinct])
    return LaneSet(_in_rows(x).to(device), _in_rows(y).to(device), torch.tensor(which) * size, size)


def _in_rows(t: Tensor) -> Tensor:
    """t laid like a new tensor, as a batch of it is: convolutions round by the order of their operands."""
    made = torch.empty_like(t, memory_format=torch.contiguous_format)
    return t if t.stride() == made.stride() else made.copy_(t)


def _equal(a: ArrayExamples, b: ArrayExamples) -> bool:
    return _same(a.x, b.x) and _same(a.y, b.y)


def _same(a: Tensor, b: Tensor) -> bool:
    return a is b or (a.shape == b.shape and torch.equal(a, b))


class Orders:
    """Each lane's row numbers, as solo draws them: an epoch's permutation by the seed, cut in order."""

    def __init__(self, seeds: Sequence[int], n: int, batch_size: int) -> None:
        self.n, self.batch_size = n, batch_size
        self.seeds = list(seeds)
        self._epoch, self._orders = -1, torch.empty(0)
        self._which = torch.empty(0, dtype=torch.int64)

    def epoch(self, number: int) -> Tensor:
        """The order of an epoch: (n,) where all lanes have one seed, else (L, n)."""
        if number != self._epoch:
            distinct = sorted(set(self.seeds))
            self._orders = torch.stack([epoch_order(self.n, seed, number) for seed in distinct])
            self._which = torch.tensor([distinct.index(seed) for seed in self.seeds])
            self._epoch = number
        return self._orders

    def rows(self, step: int) -> Tensor:
        """The batch of the update after `step` updates: (B,) or (L, B)."""
        epoch, place = divmod(step, -(-self.n // self.batch_size))
        return self.cut(epoch, place * self.batch_size, (place + 1) * self.batch_size)

    def cut(self, epoch: int, start: int | None, stop: int | None) -> Tensor:
        """A slice of each lane's order of an epoch: (m,) or (L, m)."""
        orders = self.epoch(epoch)[:, slice(start, stop)]
        return orders[0] if len(orders) == 1 else orders[self._which]

    def of(self, index: Tensor) -> "Orders":
        """The orders of these lanes."""
        return Orders([self.seeds[i] for i in index.tolist()], self.n, self.batch_size)
