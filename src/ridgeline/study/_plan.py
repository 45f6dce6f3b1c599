"""The plan: how a study's trials are laid on the machine. Pure; written before the first step, obeyed after."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, TypeAlias

from ridgeline.errors import RidgelineError
from ridgeline.lanes import Products

EngineName: TypeAlias = Literal["auto", "lanes", "solo"]
ENGINES: tuple[EngineName, ...] = ("auto", "lanes", "solo")

# Below this much predicted work a second process does not repay its start-up (import and first batch, 3 s).
_WORTH_A_PROCESS_S = 12.0
# Rough CPU rates for the prediction only: multiply-adds a second on one core, overhead of a step.
_RATE = 1.5e10
_STEP_S = 3e-4


@dataclass(frozen=True)
class ProgramPlan:
    """How the trials of arms that share a program are trained.

    Attributes:
        arms: their labels.
        engine: "lanes": in packs; "solo": one after another.
        rule: of the packs' optimizer, "grouped" or "broadcast"; fixed, since the two round differently.
        lanes: the most that a pack holds.
        reason: why, in words.
    """

    arms: tuple[str, ...]
    engine: str
    rule: str
    lanes: int
    reason: str


@dataclass(frozen=True)
class Plan:
    """Where trials run.

    Attributes:
        engine: "lanes" where any arms train in packs.
        processes: 1 means in this process; more means one process each, `threads` threads in each.
        reason: a sentence for the reader.
        programs: what each arm trains in; none where no lanes were thought of.
        seconds: how long the whole study should take, where that was measured.
        products: the library of large matrix products; fixed, since sums are taken in another order.
    """

    engine: str
    device: str
    processes: int
    threads: int
    reason: str
    programs: tuple[ProgramPlan, ...] = ()
    seconds: float | None = None
    products: Products = "torch"

    def as_dict(self) -> dict[str, Any]:
        """For plan.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """From plan.json.

        Raises:
            RidgelineError: when it is not one of ours.
        """
        try:
            programs = [
                ProgramPlan(**{**each, "arms": tuple(each["arms"])}) for each in value.get("programs", ())
            ]
            return cls(**{**value, "programs": tuple(programs)})
        except (TypeError, KeyError, AttributeError):
            raise RidgelineError("plan.json is not one of this version's; choose another --out.") from None


def predict_seconds(parameters: int, batch_size: int, steps: int) -> float:
    """A rough time for one trial on one CPU core: forward and backward touch each weight 3 times an example."""
    return steps * (_STEP_S + 3.0 * parameters * batch_size / _RATE)


def make_plan(*, device: str, cores: int, trials: int, seconds_a_trial: float, parameters: int) -> Plan:
    """One process a core when the trials are many and long; else all in this process.

    On a CPU each process trains with one thread as soon as there are as many trials as cores: one process
    a core beats threads (7.8 against 10.05 ms a step on a wide MLP), and a small model gains nothing from
    a second thread.
    """
    if device != "cpu":
        return Plan("solo", device, 1, cores, "one trial after another on the accelerator")
    work = seconds_a_trial * trials
    if trials == 1 and parameters > 1_000_000:
        return Plan("solo", device, 1, cores, "one large trial, all threads")
    if cores == 1 or trials == 1 or work < _WORTH_A_PROCESS_S:
        return Plan("solo", device, 1, 1, f"about {work:.0f} s of work, too little for more processes")
    processes = min(cores, trials)
    return Plan("solo", device, processes, 1, f"{trials} trials, one process a core")


# Lanes were seen to make a trial this many times cheaper at the least, where they pay at all.
_CHEAPER = 5.0
# Memory that the packs of one process may take; a larger pack of such models would gain nothing more.
_PACK_BYTES = 1 << 30
_MOST_LANES = 512


def lanes_that_fit(parameters: int, batch_numbers: int) -> int:
    """How many lanes a pack may hold: six tensors of the weights' size a lane, and its batch many times over.

    Example:
        >>> lanes_that_fit(5_000, 2_048), lanes_that_fit(3_000_000, 50_000)
        (512, 14)
    """
    a_lane = 4 * (6 * parameters + 16 * batch_numbers)
    return max(2, min(_MOST_LANES, _PACK_BYTES // a_lane))


def with_lanes(
    plan: Plan, programs: Sequence[ProgramPlan], cores: int, work_s: float, measured: bool = False
) -> Plan:
    """The plan for a study of which some arms may train in packs.

    Args:
        plan: for the same trials one after another.
        work_s: what they take on one core: measured, as `programs` have it, or one after another.
    """
    packed = [each for each in programs if each.engine == "lanes"]
    if not packed:
        seconds = work_s / plan.processes if measured else None
        reason = f"{plan.reason}; no lanes: {programs[0].reason}"
        return replace(plan, programs=tuple(programs), reason=reason, seconds=seconds)
    work_s = work_s if measured else work_s / _CHEAPER
    many = plan.device == "cpu" and cores > 1 and work_s > _WORTH_A_PROCESS_S
    threads = 1 if plan.device == "cpu" else cores
    where = "in one process a core" if many else "in this process"
    arms = sum(len(each.arms) for each in packed)
    others = sum(len(each.arms) for each in programs) - arms
    alone = f", {others} one trial after another" if others else ""
    reason = f"{arms} arms as lanes of packs{alone}, {where}"
    processes = cores if many else 1
    seconds = work_s / processes if measured else None
    return Plan("lanes", plan.device, processes, threads, reason, tuple(programs), seconds, plan.products)


# Below this much predicted work, measuring would cost more than it could save.
WORTH_MEASURING_S = 6.0
# A pack must be this much faster to be chosen: measuring is noisy.
_CLEARLY = 1.15


def faster(program: ProgramPlan, trials: int, alone_s: float, packed_s: float) -> tuple[ProgramPlan, float]:
    """A program's plan by what was measured, and the seconds of one core that its trials then take.

    Args:
        alone_s, packed_s: of all its trials, one after another and in packs.
    """
    speed = f"{alone_s / trials:.2g} s a trial alone, {packed_s / trials:.2g} s in a pack, measured here"
    if alone_s > _CLEARLY * packed_s:
        return replace(program, reason=f"{program.reason}; {speed}"), packed_s
    return ProgramPlan(program.arms, "solo", "", 1, f"a pack is no faster: {speed}"), alone_s
