"""How the cost of lanes grows with their number: time and memory a lane, each number in a process of its own."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.engines.ours import Piece, pieces_of, train_piece
from benchmarks.engines.seats import Seats
from benchmarks.engines.table import shortened
from benchmarks.engines.workloads import WORKS, Work

_LANES = (2, 8, 32, 128, 512, 2_048)
_ROWS = ("mlp-64", "linear-200")
_STATUS = Path("/proc/self/status")


def show(names: Sequence[str], share: float) -> None:
    """Print a line a number of lanes, in packs as `--engine lanes` lays them, all in one process."""
    for name in names or _ROWS:
        work = shortened(WORKS[name], share)
        print(f"\n{name}, {work.steps} steps, one process of one thread, packs as planned")
        print(
            f"  {'lanes':>6}{'packs':>7}{'s in all':>10}{'ms a lane':>11}{'µs a step':>11}{'KB a lane':>11}"
        )
        for lanes in _LANES:
            with Seats(1) as seats:
                packs, seconds, held = seats.one("grown", _grown, replace(work, lanes=lanes))
            memory = "–" if held is None else f"{held / lanes / 1e3:.4g}"
            a_lane = seconds / lanes
            print(
                f"  {lanes:6}{packs:7}{seconds:10.3g}{1e3 * a_lane:11.4g}{1e6 * a_lane / work.steps:11.4g}"
                f"{memory:>11}",
                flush=True,
            )


def _grown(work: Work) -> tuple[int, float, int | None]:
    """Packs, seconds, and the bytes by which the peak of this process rose; None where it cannot be read."""
    for piece in _pieces(replace(work, lanes=2, steps=3)):
        train_piece(replace(work, lanes=2, steps=3), piece)
    before, began = _peak(), time.perf_counter()
    pieces = _pieces(work)
    for piece in pieces:
        train_piece(work, piece)
    seconds, after = time.perf_counter() - began, _peak()
    return len(pieces), seconds, None if before is None or after is None else after - before


def _pieces(work: Work) -> list[Piece]:
    study = work.study()
    plan = replace(study.plan(engine="lanes", device="cpu"), processes=1, threads=1)
    return pieces_of(study.trials(), plan)


def _peak() -> int | None:
    """The most memory that this process has held, where the system tells."""
    if not _STATUS.exists():
        return None
    line = next(each for each in _STATUS.read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
