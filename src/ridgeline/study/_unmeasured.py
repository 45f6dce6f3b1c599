"""The plan of a study that is not worth measuring. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from ridgeline.study._plan import EngineName, Plan, ProgramPlan
from ridgeline.study._plan_words import in_words, trained

# Below this much work a second process hardly repays its start. One model from so many weights on gains by
# threads.
_WORTH_A_PROCESS_S = 12.0
_WORTH_THREADS = 1_000_000


def unmeasured(
    programs: Sequence[ProgramPlan],
    *,
    asked: EngineName,
    device: str,
    cores: int,
    work_s: float,
    parameters: int,
) -> Plan:
    """The plan where nothing was measured: one process a core when the trials are many and long.

    On a CPU each process trains with one thread as soon as there are as many trials as cores: one process
    a core beats threads (7.8 against 10.05 ms a step on a wide MLP), and a small model gains nothing from
    a second thread. Packs are made only where they are asked for.

    Args:
        work_s: all trials on one core, predicted.
        parameters: of the largest model.
    """
    trials = sum(each.trials for each in programs)
    made = [each if asked == "lanes" else _untried(each) for each in programs]
    engine = "lanes" if any(each.engine == "lanes" for each in made) else "solo"
    processes, threads = 1, 1
    if device != "cpu":
        threads, where = cores, "on the accelerator"
    elif trials == 1 and parameters > _WORTH_THREADS:
        threads, where = cores, "all threads"
    elif cores == 1 or trials == 1 or work_s < _WORTH_A_PROCESS_S:
        where = f"in this process: about {in_words(work_s)} of work, too little for more processes"
    else:
        processes, where = min(cores, trials), "one process a core"
    reason = f"{trained(made)}, {where}"
    if asked == "lanes" and engine == "solo":
        reason += f"; no lanes: {made[0].reason}"
    return Plan(engine, device, processes, threads, reason, tuple(made), work_s / processes)


def _untried(program: ProgramPlan) -> ProgramPlan:
    if program.engine == "solo":
        return program
    reason = f"too little work to find out whether packs are faster; {program.reason}"
    return replace(program, engine="solo", rule="", lanes=1, reason=reason)
