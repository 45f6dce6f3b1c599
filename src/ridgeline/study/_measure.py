"""Measuring the ways to train the programs of a study, within what measuring may take."""

import time
from collections.abc import Sequence

from ridgeline.lanes import Products, first_step
from ridgeline.study._choose import CLEARLY, choose
from ridgeline.study._execute import prepared
from ridgeline.study._lanes import Group
from ridgeline.study._plan import EngineName, ProgramPlan, Way
from ridgeline.study._plan_words import total
from ridgeline.study._predict import allowance, threads_promise
from ridgeline.study._tried import Tried


class _Allowance:
    """Seconds that measuring may still take, of the work that it is for."""

    def __init__(self, work_s: float) -> None:
        self._began, self.work_s = time.perf_counter(), work_s

    def of(self, work_s: float) -> float:
        """What may be spent on a part of the work: its share, of what is left at the most."""
        whole = allowance(self.work_s)
        left = whole - (time.perf_counter() - self._began)
        return max(0.0, min(whole * work_s / max(self.work_s, 1e-9), left))


def measure(groups: Sequence[Group], asked: EngineName, cores: int, kind: Products) -> list[ProgramPlan]:
    """The plan of each group, with what was found out about the ways to train it.

    One trial alone is measured first; then packs, where `asked` allows and something speaks for them; then
    packs, and one trial, with all threads, where that could still be the fastest.

    Raises:
        RidgelineError: when a trial fails.
    """
    device = groups[0].device.type
    threads = 1 if device == "cpu" else cores
    tried = [Tried(group, asked) for group in groups]
    first_step()  # what it loads is loaded in every process, and is no measuring
    allowed = _Allowance(sum(each.alone_s for each in tried))
    with prepared(threads, kind):
        _all_alone(tried, threads, allowed)
        allowed.work_s = sum(each.alone_s for each in tried)
        for each in tried:
            if each.plan.engine == "lanes":
                each.packed(threads, allowed.of(each.alone_s) / 2)
    if device == "cpu" and cores > 1:
        _packs_with_all_threads(tried, cores, kind, allowed)
        _all_threads(tried, cores, kind, allowed)
    return [each.plan for each in tried]


def _all_alone(tried: Sequence[Tried], threads: int, allowed: _Allowance) -> None:
    """One trial of each program, the largest programs first; the last are reckoned where time runs out."""
    predicted = {id(each): each.alone_s for each in tried}
    measured, of = 0.0, 0.0
    for each in sorted(tried, key=lambda one: -one.alone_s):
        within = allowed.of(each.alone_s) / 4
        whether = within > 0 or not measured
        if whether:
            each.alone_s = each.alone(within) * each.plan.trials
            measured, of = measured + each.alone_s, of + predicted[id(each)]
        else:
            each.alone_s *= measured / of
        note = "measured" if whether else "reckoned from its size, by programs that were measured"
        each.add(Way("solo", threads, 1, 0.0, each.alone_s / each.plan.trials, note, whether))


def _packs_with_all_threads(tried: Sequence[Tried], cores: int, kind: Products, allowed: _Allowance) -> None:
    """Packs with all threads, where these could beat what is the best so far: a process more costs its start."""
    packed = [
        (each, way) for each in tried for way in each.plan.ways if way.engine == "lanes" and way.measured
    ]
    if not packed:
        return
    best = _fastest(tried, cores, kind)
    work_s = sum(total(each.plan, way) for each, way in packed)
    if best is None or not threads_promise(work_s, cores, best, CLEARLY):
        return
    with prepared(cores, kind):
        for each, _ in packed:
            each.packed(cores, allowed.of(each.alone_s) / 4)


def _all_threads(tried: Sequence[Tried], cores: int, kind: Products, allowed: _Allowance) -> None:
    """One trial of each program with all threads, where these could still be the best that there is."""
    asked = tried[0].asked
    if asked == "lanes" and any(each.plan.engine == "lanes" for each in tried):
        return
    best = _fastest(tried, cores, kind)
    why = ""
    if any(each.pace is None for each in tried):
        why = "what measuring may take was spent before"
    elif best is None or not threads_promise(allowed.work_s, cores, best, CLEARLY):
        why = "if they shared the work evenly, that would still not be the fastest"
    if why:
        for each in tried:
            each.add(Way("solo", cores, 1, 0.0, None, f"not measured: {why}", measured=False))
        return
    with prepared(cores, kind):
        for each in tried:
            seconds = each.alone(allowed.of(each.alone_s) / 4)
            each.add(Way("solo", cores, 1, 0.0, seconds, "measured"))


def _fastest(tried: Sequence[Tried], cores: int, kind: Products) -> float | None:
    """Seconds of the study by the best that is known so far."""
    plans, asked = [each.plan for each in tried], tried[0].asked
    return choose(plans, asked=asked, device="cpu", cores=cores, products=kind).seconds
