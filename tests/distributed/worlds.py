"""Worlds of processes that run named checks and report each by name."""

import json
import logging
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import torch
import torch.distributed as dist
from filelock import FileLock
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.multiprocessing.spawn import spawn

# How long a process waits for the others before it gives up: a check that hangs must not hang the suite.
PATIENCE = timedelta(seconds=60)


@dataclass
class World:
    """One process among its like, and a folder that all of them see."""

    rank: int
    size: int
    folder: Path

    @cached_property
    def mesh(self) -> DeviceMesh:
        """All processes in a line."""
        return init_device_mesh("cpu", (self.size,))

    def require(self, holds: bool, what: str) -> None:
        """Fail on every process where it fails on any: they stay in step."""
        each = torch.tensor([float(holds)])
        dist.all_reduce(each, dist.ReduceOp.MIN)
        assert each.item() == 1.0, what

    def equal_everywhere(self, number: torch.Tensor) -> bool:
        """Whether all processes hold the same bits."""
        seen = [torch.empty_like(number) for _ in range(self.size)]
        dist.all_gather(seen, number.detach().contiguous())
        return all(torch.equal(other, number) for other in seen)


Check: TypeAlias = Callable[[World], None]
CHECKS: dict[int, dict[str, Check]] = {2: {}, 3: {}, 4: {}}


def check(*sizes: int, name: str = "") -> Callable[[Check], Check]:
    """Have worlds of these sizes run it."""

    def registered(function: Check) -> Check:
        for size in sizes:
            CHECKS[size][name or function.__name__] = function
        return function

    return registered


def launch(size: int, folder: Path) -> dict[str, str]:
    """Run all checks of a world; returns what went wrong, by name, an empty text where nothing did.

    Several callers, in this process or others, run it once.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"lock-{size}"):
        report, broken = folder / f"report-{size}", folder / f"broken-{size}"
        if not report.exists():
            report.touch()
            try:
                spawn(_process, args=(size, str(folder)), nprocs=size, join=True)
            except Exception as error:  # a process was killed: what was told until then counts
                broken.write_text(str(error))
    told: dict[str, str] = {}
    for line in report.read_text().splitlines():
        told |= json.loads(line)
    last = f"the world broke after {list(told)[-1:]}: {broken.read_text()}" if broken.exists() else "not run"
    return {name: told.get(name, last) for name in CHECKS[size]}


def _process(rank: int, size: int, folder: str) -> None:
    import tests.distributed.test_worlds  # noqa: F401 - registers every check

    torch.set_num_threads(1)
    warnings.simplefilter("error")
    logging.getLogger("torch").setLevel(logging.ERROR)  # how gloo does what it lacks
    world = World(rank, size, Path(folder))
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet-{size}", rank=rank, world_size=size, timeout=PATIENCE
    )
    with (world.folder / f"report-{size}").open("a") as report:
        for name, run in CHECKS[size].items():
            each: list[str] = [""] * size
            dist.all_gather_object(each, _told(world, run))
            if rank == 0:
                report.write(json.dumps({name: "\n".join(filter(None, each))}) + "\n")
                report.flush()
    dist.destroy_process_group()


def _told(world: World, run: Check) -> str:
    try:
        run(world)
    except Exception:
        return f"process {world.rank} of {world.size}:\n{traceback.format_exc()}"
    return ""
