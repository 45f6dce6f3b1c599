"""Compiled passes over many tensors in one call: between two steps the code of a call has left the cache.

What a pass of `_compiled` does to one tensor is done here to several; the numbers of each enter as a row of
one tensor. The lines of memory of weights and optimizer state are kept from step to step, as long as these
stay where they are; gradients are new each time.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache
from types import FunctionType
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ridgeline.regularizer._passes import SMALLEST, add_slopes, line, mixed, shrink
from ridgeline.regularizer._pieces import flat

# Tensors of one call: what the compiler is given grows with them.
MOST = 16
# A line that so many calls have not used lies where no weight lies any more.
_STALE = 8

Place: TypeAlias = tuple[int, int, torch.dtype, tuple[int, ...]]
# The places of rows, and their lines: the first tensors of all rows, then the second ones.
Call: TypeAlias = tuple[list[int], list[Tensor]]


def _values(lines: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """Σ c (ρ|w| + ½(1 − ρ)w²), numbers [n, 2] of c and ρ."""
    found = [row[0] * mixed(w, row[1]) for w, row in zip(lines, numbers.unbind(), strict=True)]
    return torch.stack(found).sum()


def _slopes(lines: Sequence[Tensor], numbers: Tensor) -> None:
    """g += c (ρ sign(w) + (1 − ρ)w) for the first half of the lines g, the second w."""
    half = len(lines) // 2
    for g, w, row in zip(lines[:half], lines[half:], numbers.unbind(), strict=True):
        add_slopes(g, w, row[0], row[1])


def _shrunk(lines: Sequence[Tensor], numbers: Tensor) -> None:
    """`shrink` of each, numbers [n, 3] of ε, c and ρ; the first half of the lines w, the second √'s argument."""
    half = len(lines) // 2
    for w, second, row in zip(lines[:half], lines[half:], numbers.unbind(), strict=True):
        shrink(w, second, row[0], row[1], row[2])


@cache
def _kernel(passing: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Compiled by itself for each number of tensors: the compiler gives up on a function of too many variants."""
    code = passing.__code__.replace(co_name=f"{passing.__name__}_of_{count}")
    own = FunctionType(code, passing.__globals__, code.co_name)
    return torch.compile(own, dynamic=True, fullgraph=True)


class Together:
    """The passes over many tensors, for the numbers of tensors that were compiled.

    Each takes rows of (tensors…, numbers…) and returns the rows that it left to others.
    """

    def __init__(self) -> None:
        self._sizes: set[int] = set()
        self._lines: dict[Place, Tensor] = {}
        self._used: dict[Place, int] = {}
        self._turn = self._changed = 0
        self._numbers: dict[tuple[Any, ...], tuple[Any, Tensor]] = {}

    def compile_now(self, weights: Sequence[Tensor], modes: Collection[str]) -> None:
        """Compile what these modes need, for as many tensors at once as these weights are."""
        kinds = [(w.dtype, w.device) for w in weights if _divisible(w)]
        for dtype, device in dict.fromkeys(kinds):
            count = kinds.count((dtype, device))
            sizes = {MOST if count >= MOST else 0, count % MOST} - {0, 1}
            for size in sizes:
                # of different lengths: the compiler takes equal ones for always equal
                lines = [torch.ones(SMALLEST + 4 * k, dtype=dtype, device=device) for k in range(size)]
                others = [torch.ones_like(line) for line in lines]
                wide = torch.promote_types(dtype, torch.float32)
                numbers = torch.ones(size, 3, dtype=wide, device=device)
                with torch.no_grad():
                    _kernel(_values, size)(lines, numbers[:, :2].contiguous())
                    if {"loss", "coupled"} & set(modes):
                        _kernel(_slopes, size)([*lines, *others], numbers[:, :2].contiguous())
                    if "proximal" in modes:
                        _kernel(_shrunk, size)([*lines, *others], numbers)
            self._sizes |= sizes

    @torch.no_grad()
    def values(self, rows: Sequence[tuple[Tensor, float, float]]) -> tuple[Tensor | None, list[int]]:
        """Σ c (ρ|w| + ½(1 − ρ)w²) of rows (w, c, ρ), at least float32, and the places of rows left out."""
        total: Tensor | None = None
        calls, left = self._calls([(w,) for w, *_ in rows])
        for places, lines in calls:
            numbers = self._table(tuple(rows[i][1:] for i in places), lines[0])
            found = _kernel(_values, len(places))(lines, numbers)
            total = found if total is None else total + found
        return total, left

    @torch.no_grad()
    def slopes(self, rows: Sequence[tuple[Tensor, Tensor, float, float]]) -> list[int]:
        """g += c (ρ sign(w) + (1 − ρ)w) of rows (g, w, c, ρ); the places of rows left out."""
        calls, left = self._calls([(g, w) for g, w, *_ in rows], passing=1)
        for places, lines in calls:
            numbers = self._table(tuple(rows[i][2:] for i in places), lines[0])
            _kernel(_slopes, len(places))(lines, numbers)
            increment_version([rows[i][0] for i in places])
        return left

    @torch.no_grad()
    def shrink(self, rows: Sequence[tuple[Tensor, Tensor, float, float, float]]) -> list[int]:
        """`Compiled.shrink` of rows (w, second, ε, c, ρ); the places of rows left out."""
        calls, left = self._calls([(w, second) for w, second, *_ in rows])
        for places, lines in calls:
            numbers = self._table(tuple(rows[i][2:] for i in places), lines[0])
            _kernel(_shrunk, len(places))(lines, numbers)
            increment_version([rows[i][0] for i in places])
        return left

    def _calls(self, rows: Sequence[tuple[Tensor, ...]], passing: int = 0) -> tuple[list[Call], list[int]]:
        """Calls of as many rows as were compiled, with their lines, first tensors first; and the rows left.

        Args:
            passing: how many tensors of a row are new each time, so that their lines are not kept.
        """
        self._turn += 1
        found: dict[tuple[torch.dtype, torch.device], list[tuple[int, list[Tensor]]]] = {}
        for place, row in enumerate(rows):
            lines = self._lines_of(row, passing)
            if lines is not None:
                found.setdefault((row[0].dtype, row[0].device), []).append((place, lines))
        calls: list[Call] = []
        for members in found.values():
            while members:
                size = max((s for s in self._sizes if s <= len(members)), default=0)
                if not size:
                    break
                taken, members = members[:size], members[size:]
                lines = [own[k] for k in range(len(rows[0])) for _, own in taken]
                calls.append(([place for place, _ in taken], lines))
        if self._turn - self._changed <= 2 * _STALE:
            self._forget()
        reached = {place for places, _ in calls for place in places}
        return calls, [place for place in range(len(rows)) if place not in reached]

    def _lines_of(self, row: tuple[Tensor, ...], passing: int) -> list[Tensor] | None:
        """The row as lines of memory; None where it is small, no plain memory, or of one tensor twice."""
        if not _divisible(row[0]) or torch.compiler.is_compiling():
            return None
        places: list[Place] = [(t.data_ptr(), t.numel(), t.dtype, t.stride()) for t in row[passing:]]
        known = not passing and all(p in self._lines and p[1:] == places[0][1:] for p in places)
        if not known and not _alike(row):
            return None
        for t, place in zip(row[passing:], places, strict=True):
            if place not in self._lines:  # kept, a line holds its memory: nothing else can come to lie there
                self._lines[place], self._changed = line(t), self._turn
            self._used[place] = self._turn
        return [*map(line, row[:passing]), *(self._lines[place] for place in places)]

    def _forget(self) -> None:
        """Let go of the memory of weights that have moved."""
        for place in [p for p, turn in self._used.items() if self._turn - turn > _STALE]:
            del self._lines[place], self._used[place]

    def _table(self, rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
        """The rows as a tensor beside `like`, at least float32; that of the last call where nothing has changed."""
        key = (len(rows), len(rows[0]), like.dtype, like.device)
        before = self._numbers.get(key)
        if before is not None and before[0] == rows:
            return before[1]
        wide = torch.promote_types(like.dtype, torch.float32)
        found = torch.tensor(rows, dtype=wide, device=like.device)
        self._numbers[key] = rows, found
        return found


def _divisible(w: Tensor) -> bool:
    """Sums are taken in four strands, without a remainder; small tensors cost little beside others."""
    return w.numel() >= 64 and w.numel() % 4 == 0


def _alike(row: tuple[Tensor, ...]) -> bool:
    first = row[0]
    same = all(t.dtype == first.dtype and type(t.data) is Tensor for t in row)
    return same and len({t.data_ptr() for t in row}) == len(row) and flat(*row) is not None
