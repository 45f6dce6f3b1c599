"""Choosing how a study runs, from what was measured of the ways to train its programs. Pure."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ridgeline.lanes import Products
from ridgeline.study._plan import Candidate, EngineName, Plan, ProgramPlan, Way
from ridgeline.study._plan_words import reason_for, total, why

# What is more work to set up must be this much faster: measuring is noisy, and a plan should not flip.
CLEARLY = 1.05
# A process's start: import and first batch.
START_S = 3.0


def choose(
    programs: Sequence[ProgramPlan], *, asked: EngineName, device: str, cores: int, products: Products
) -> Plan:
    """The plan by what was measured: the first candidate that no other beats clearly, the simplest first.

    Args:
        programs: with their ways; engine "lanes" where their trials could be lanes.
    """
    trials = sum(each.trials for each in programs)
    layouts = _layouts(device, cores, trials)
    policies: list[EngineName] = ["solo", "auto"] if asked == "auto" else [asked]
    found: dict[str, tuple[Candidate, list[ProgramPlan]]] = {}
    for policy in policies:
        for processes, threads, where in layouts:
            decided = [decide(each, threads, policy) for each in programs]
            if all(decided):
                made = [each for each in decided if each is not None]
                seconds = _seconds(made, threads, processes)
                engine = "lanes" if any(each.engine == "lanes" for each in made) else "solo"
                one = Candidate(f"{engine}, {where}", engine, processes, threads, seconds)
                found.setdefault(one.name, (one, made))
    best = min(_least(programs, layout, policies) for layout in layouts)
    order = sorted(found.values(), key=lambda pair: pair[0].seconds)
    chosen, made = next((pair for pair in found.values() if pair[0].seconds <= CLEARLY * best), order[0])
    candidates = tuple(candidate for candidate, _ in found.values())
    return Plan(
        chosen.engine,
        device,
        chosen.processes,
        chosen.threads,
        reason_for(chosen, candidates, made),
        tuple(made),
        chosen.seconds,
        products,
        candidates,
    )


def _layouts(device: str, cores: int, trials: int) -> list[tuple[int, int, str]]:
    """Processes, threads of each, and how that is called."""
    if device != "cpu":
        return [(1, cores, "in this process")]
    found = [(1, 1, "in this process")]
    if cores > 1 and trials > 1:
        many = min(cores, trials)
        found.append((many, 1, "one process a core" if many == cores else f"in {many} processes"))
    if cores > 1:
        found.append((1, cores, "all threads"))
    return found


def decide(
    program: ProgramPlan, threads: int, policy: EngineName, clearly: float = CLEARLY
) -> ProgramPlan | None:
    """The program with the engine that is faster with so many threads; None where none was tried with them.

    Args:
        policy: "auto", or the engine that is asked for.
        clearly: a pack must be this much faster.
    """
    ways = {way.engine: way for way in program.ways if way.threads == threads and way.trial_s is not None}
    alone = ways.pop("solo", None)
    packed = min(ways.values(), key=lambda each: total(program, each), default=None)
    way = alone if policy == "solo" else packed or alone
    if policy == "lanes" == program.engine:
        way = packed
    if policy == "auto" and alone and packed and total(program, alone) <= clearly * total(program, packed):
        way = alone
    if way is None:
        return None
    reason = why(program, alone, packed or _pack_of(program), way, CLEARLY)
    rule = program.rule if way.engine != "solo" else ""
    return replace(program, engine=way.engine, rule=rule, lanes=way.lanes, reason=reason)


def _pack_of(program: ProgramPlan) -> Way | None:
    """A pack that was reckoned with other threads."""
    return next((w for w in program.ways if w.engine != "solo" and w.trial_s is not None), None)


def _seconds(programs: Sequence[ProgramPlan], threads: int, processes: int) -> float:
    """Of programs whose engine is decided."""
    units: list[float] = []
    for each in programs:
        way = next(w for w in each.ways if (w.engine, w.threads) == (each.engine, threads))
        units += way.units(each.trials, processes)
    return makespan(units, processes) + (START_S if processes > 1 else 0.0)


def _least(
    programs: Sequence[ProgramPlan], layout: tuple[int, int, str], policies: Sequence[EngineName]
) -> float:
    """The seconds that a layout takes with the fastest engine of each program, however close."""
    processes, threads, _ = layout
    made = [decide(each, threads, policies[-1], clearly=1.0) for each in programs]
    return _seconds([m for m in made if m], threads, processes) if all(made) else float("inf")


def makespan(units: Iterable[float], processes: int) -> float:
    """When the last is done, if each process takes the next of them as soon as it is free.

    Example:
        >>> makespan([1.0, 1.0, 1.0], 2), makespan([1.0, 2.0, 1.0], 2), makespan([], 2)
        (2.0, 2.0, 0.0)
    """
    ends = [0.0] * processes
    for seconds in units:
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)
