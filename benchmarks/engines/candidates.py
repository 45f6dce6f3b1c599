"""What `auto` chose beside every candidate, each measured in full: never more than 15 % slower than the best."""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from benchmarks.engines import ours
from benchmarks.engines.arms import said, train
from benchmarks.engines.seats import CORES, Seats
from benchmarks.engines.table import shortened
from benchmarks.engines.workloads import Work
from ridgeline.study._plan import Plan

# engine, processes, threads in each
_LAID: tuple[tuple[str, int, int], ...] = (
    ("lanes", 1, 1),
    ("lanes", 1, CORES),
    ("lanes", CORES, 1),
    ("solo", 1, 1),
    ("solo", 1, CORES),
    ("solo", CORES, 1),
)


def show(works: Sequence[Work], share: float, rounds: int, threads: int) -> None:
    """Print each row's candidates, and how far from the best the choice was, alone and with planning."""
    with Seats(threads) as seats:
        for work in works:
            _row(seats, shortened(work, share), rounds)


def _row(seats: Seats, work: Work, rounds: int) -> None:
    print(f"\n{work.name}: {work.steps} steps, {work.lanes} lanes", flush=True)
    laid = {
        _key(engine, processes, threads): (engine, processes, threads) for engine, processes, threads in _LAID
    }
    found: dict[str, list[float]] = {key: [] for key in laid}
    planning: list[float] = []
    chosen: list[str] = []
    for _ in range(rounds):
        began = time.perf_counter()
        auto, _ = seats.one("ridgeline", ours.planned, work, "auto")
        planning.append(time.perf_counter() - began)
        key = _key(auto.engine, auto.processes, auto.threads)
        chosen.append(key)
        if key not in laid:
            laid[key], found[key] = (auto.engine, auto.processes, auto.threads), []
        for name, (engine, processes, threads) in laid.items():
            plan = seats.one("ridgeline", _plan, work, engine)
            plan = replace(plan, processes=processes, threads=threads, products=auto.products)
            pieces = ours.pieces_of(work.study().trials(), plan)
            found[name].append(_seconds(seats, work, plan, pieces))
    seconds = {name: statistics.median(each) for name, each in found.items()}
    best = min(seconds, key=lambda name: seconds[name])
    for name in sorted(seconds, key=lambda each: seconds[each]):
        print(f"  {name:36}{seconds[name]:9.3g} s  {seconds[name] / seconds[best]:.3g}")
    worst = max(seconds[name] / seconds[best] for name in chosen)
    plan_s = statistics.median(planning)
    all_in = worst + plan_s / seconds[best]
    print(f"  auto chose {', '.join(dict.fromkeys(chosen))}; {said(auto)}")
    print(
        f"  {100 * (worst - 1):.0f} % slower than the best; with {plan_s:.2f} s of planning {100 * (all_in - 1):.0f} %"
    )


def _seconds(seats: Seats, work: Work, plan: Plan, pieces: Sequence[ours.Piece]) -> float:
    """Of all trials; several processes are started in the time, since the choice has to reckon with that."""
    with ExitStack() as stack:
        began = time.perf_counter()
        used = stack.enter_context(Seats(seats.threads)) if plan.processes > 1 else seats
        train(used, work, plan, pieces)
        return time.perf_counter() - began


def _key(engine: str, processes: int, threads: int) -> str:
    return f"{engine}, {processes} process(es) of {threads} thread(s)"


def _plan(work: Work, engine: str) -> Plan:
    return work.study().plan(engine=engine, device="cpu")
