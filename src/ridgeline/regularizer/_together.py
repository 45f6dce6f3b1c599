"""Compiled passes over many tensors in one call: between two steps the code of a call has left the cache.

What a pass of `_compiled` does to one tensor is done here to several; the numbers of each enter as a row of
one tensor. The lines of memory of weights and optimizer state are kept from step to step, as long as these
stay where they are; gradients are new each time.
"""

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from types import FunctionType
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from ridgeline.regularizer._passes import SMALLEST, add_slopes, line, mixed, shrink, traced
from ridgeline.regularizer._pieces import flat

# Tensors of one call: what the compiler is given grows with them.
MOST = 16
# A tensor that has moved so often is moved at every step: its line is made anew each time.
_RESTLESS = 2

# Where a tensor lies, and how.
Place: TypeAlias = tuple[int, torch.Size, tuple[int, ...], torch.dtype]
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


@dataclass
class _Held:
    """The line of one tensor, as long as that lives and stays where it is."""

    tensor: "weakref.ref[Tensor]"
    place: Place
    line: Tensor | None
    moves: int


class Together:
    """The passes over many tensors, for the numbers of tensors that were compiled.

    Each takes rows of (tensors…, numbers…) and returns the rows that it left to others.
    """

    def __init__(self) -> None:
        self._sizes: set[int] = set()
        self._held: dict[int, _Held] = {}
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
    def values(self, rows: Sequence[tuple[Tensor, float, float]]) -> tuple[list[Tensor], list[int]]:
        """Σ c (ρ|w| + ½(1 − ρ)w²) of rows (w, c, ρ), at least float32, call by call; the places of rows left out."""
        totals: list[Tensor] = []
        calls, left = self._calls([(w,) for w, *_ in rows])
        for places, lines in calls:
            numbers = self._table(tuple(rows[i][1:] for i in places), lines[0])
            totals.append(_kernel(_values, len(places))(lines, numbers))
        return totals, left

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
        if traced():
            return [], list(range(len(rows)))
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
        reached = {place for places, _ in calls for place in places}
        return calls, [place for place in range(len(rows)) if place not in reached]

    def _lines_of(self, row: tuple[Tensor, ...], passing: int) -> list[Tensor] | None:
        """The row as lines of memory; None where it is small, no plain memory, or of one tensor twice."""
        if not _divisible(row[0]):
            return None
        places = [(t.data_ptr(), t.shape, t.stride(), t.dtype) for t in row]
        kept = [self._kept(t, place) for t, place in zip(row[passing:], places[passing:], strict=True)]
        known = not passing and all(line is not None for line in kept)
        if not (known and all(p[1:] == places[0][1:] for p in places)) and not _alike(row):
            return None
        made = [line(t) for t in row[:passing]]
        for t, place, there in zip(row[passing:], places[passing:], kept, strict=True):
            made.append(self._keep(t, place) if there is None else there)
        return made

    def _kept(self, t: Tensor, place: Place) -> Tensor | None:
        """The line of a tensor that lies where it lay."""
        held = self._held.get(id(t))
        if held is None or held.line is None or held.tensor() is not t or held.place != place:
            return None
        # memory may move with all that refers to it
        return held.line if held.line.data_ptr() == place[0] else None

    def _keep(self, t: Tensor, place: Place) -> Tensor:
        """Its line, made anew; kept as long as the tensor lives, unless it moves again and again."""
        before, key = self._held.get(id(t)), id(t)
        moves = before.moves + 1 if before is not None and before.tensor() is t else 0
        found = line(t)
        gone = weakref.ref(t, lambda _: self._held.pop(key, None))
        self._held[key] = _Held(gone, place, found if moves <= _RESTLESS else None, moves)
        return found

    def _table(self, rows: tuple[tuple[float, ...], ...], like: Tensor) -> Tensor:
        """The rows as a tensor beside `like`, at least float32; that of the last call where nothing has changed."""
        key = (len(rows), len(rows[0]), like.dtype, like.device)
        before = self._numbers.get(key)
        if before is not None and before[0] == rows:
            return before[1]
        found = torch.tensor(rows, dtype=torch.promote_types(like.dtype, torch.float32))
        if like.is_cuda:  # a copy from ordinary memory would wait for the device
            found = found.pin_memory().to(like.device, non_blocking=True)
        self._numbers[key] = rows, found
        return found


def _divisible(w: Tensor) -> bool:
    """Sums are taken in four strands, without a remainder; small tensors cost little beside others."""
    return w.numel() >= 64 and w.numel() % 4 == 0


def _alike(row: tuple[Tensor, ...]) -> bool:
    first = row[0]
    same = all(t.dtype == first.dtype and type(t.data) is Tensor for t in row)
    return same and len({t.data_ptr() for t in row}) == len(row) and flat(*row) is not None
