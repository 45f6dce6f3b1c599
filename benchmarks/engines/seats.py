"""Processes in which arms run, up before any clock starts; one arm works at a time.

What ridgeline sets for a whole process (how freed memory is kept, the library of products) must not help the
baselines, so these have processes of their own. Denormals are flushed in all of them.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from multiprocessing.pool import Pool
from types import TracebackType
from typing import Any, Self, TypeVar

import torch

T = TypeVar("T")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settle(threads: int) -> None:
    """The first act of a process."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)
    if threads < CORES and hasattr(os, "sched_setaffinity"):  # for those that do not ask torch
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


class Seats:
    """Pools by name.

    Args:
        threads: of an arm that runs in one process.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._stack, self._pools = ExitStack(), dict[tuple[str, int], Pool]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def one(self, name: str, call: Callable[..., T], *arguments: Any) -> T:
        """Call it in the process of that name."""
        return self._pool(name, 1).apply(call, arguments)

    def cores(self, name: str, call: Callable[..., T], each: Iterable[tuple[Any, ...]]) -> list[T]:
        """Call it with each of these, in one process a core, one thread in each."""
        return self._pool(name, CORES).starmap(call, each, chunksize=1)

    def _pool(self, name: str, size: int) -> Pool:
        if (name, size) not in self._pools:
            threads = self.threads if size == 1 else 1
            made = multiprocessing.get_context("spawn").Pool(size, _begin, (threads, size))
            self._pools[name, size] = self._stack.enter_context(made)
        return self._pools[name, size]


def _begin(threads: int, size: int) -> None:
    if size > 1:  # processes of one thread each choose their core by themselves
        torch.set_flush_denormal(True)
        torch.set_num_threads(1)
    else:
        settle(threads)
