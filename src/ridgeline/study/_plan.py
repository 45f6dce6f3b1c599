"""The plan of a study: what plan.json holds. Written before the first step, obeyed after."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, Self, TypeAlias, get_args

from ridgeline.errors import RidgelineError
from ridgeline.lanes import Products

EngineName: TypeAlias = Literal["auto", "lanes", "solo"]
# Of the packs' optimizer; "" where none is packed.
RuleName: TypeAlias = Literal["", "grouped", "broadcast"]
ENGINES: tuple[EngineName, ...] = ("auto", "lanes", "solo")


@dataclass(frozen=True)
class Way:
    """A way to train the trials of a program, and how long that was found to take.

    Attributes:
        engine: "lanes": in packs; "solo": one after another.
        threads: of each process.
        lanes: the most that a pack holds; 1 for solo.
        unit_s: seconds that a pack takes however many lanes it has.
        trial_s: seconds that each trial takes, or adds to its pack; None where this was not found out.
        note: what was measured, or why nothing was.
        measured: whether it was; else the seconds are those of something like it.
    """

    engine: str
    threads: int
    lanes: int
    unit_s: float
    trial_s: float | None
    note: str
    measured: bool = True

    def units(self, trials: int, processes: int) -> list[float]:
        """The seconds of each portion that is trained in one go.

        Example:
            >>> Way("lanes", 1, 4, unit_s=1.0, trial_s=0.5, note="").units(6, processes=1)
            [2.5, 2.5]
        """
        assert self.trial_s is not None
        if self.engine == "solo":
            return [self.trial_s] * trials
        return [self.unit_s + size * self.trial_s for size in pack_sizes(trials, self.lanes, processes)]


@dataclass(frozen=True)
class ProgramPlan:
    """How the trials of arms that share a program are trained.

    Attributes:
        arms: their labels.
        engine: "lanes": in packs; "solo": one after another.
        rule: of the packs' optimizer, "grouped" or "broadcast"; fixed, since the two round differently.
        lanes: the most that a pack holds.
        reason: why, in words.
        trials: how many there are.
        ways: to train them, and what was found out about each; none where nothing was measured.
    """

    arms: tuple[str, ...]
    engine: str
    rule: RuleName
    lanes: int
    reason: str
    trials: int = 0
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A way to run the whole study.

    Attributes:
        name: in words: "lanes, in this process".
        engine: "lanes" where any program trains in packs.
        seconds: of the whole study, the start of processes included.
    """

    name: str
    engine: str
    processes: int
    threads: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """Where trials run.

    Attributes:
        engine: "lanes" where any arms train in packs.
        processes: 1 means in this process; more means one process each, `threads` threads in each.
        reason: a sentence for the reader.
        programs: what each arm trains in.
        seconds: how long the whole study should take, where that was reckoned.
        products: the library of large matrix products; fixed, since sums are taken in another order.
        candidates: what was chosen from; none where nothing was measured.
        asked: the engine that was asked for.
    """

    engine: str
    device: str
    processes: int
    threads: int
    reason: str
    programs: tuple[ProgramPlan, ...] = ()
    seconds: float | None = None
    products: Products = "torch"
    candidates: tuple[Candidate, ...] = ()
    asked: str = "auto"

    def as_dict(self) -> dict[str, Any]:
        """For plan.json."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """From plan.json; what an older version did not write has its default.

        Raises:
            RidgelineError: when it is not one of ours.
        """
        try:
            candidates = tuple(Candidate(**each) for each in value.get("candidates", ()))
            programs = tuple(_program(each) for each in value.get("programs", ()))
            found = cls(**{**value, "programs": programs, "candidates": candidates})
            if not _allowed(found):
                raise TypeError
            return found
        except (TypeError, KeyError, AttributeError):
            raise RidgelineError("plan.json is not one of this version's; choose another --out.") from None


def _allowed(plan: Plan) -> bool:
    """Whether its numbers and words are such as a plan may hold."""
    counts = [plan.processes, plan.threads, *(program.lanes for program in plan.programs)]
    engines = {plan.engine, *(program.engine for program in plan.programs)}
    rules = {program.rule for program in plan.programs}
    whole = all(type(count) is int and count >= 1 for count in counts)
    known = engines <= {"solo", "lanes"} and rules <= set(get_args(RuleName))
    return whole and known and isinstance(plan.device, str) and plan.products in get_args(Products)


def _program(value: Mapping[str, Any]) -> ProgramPlan:
    ways = tuple(Way(**each) for each in value.get("ways", ()))
    return ProgramPlan(**{**value, "arms": tuple(value["arms"]), "ways": ways})


def pack_sizes(trials: int, lanes: int, processes: int) -> list[int]:
    """How many lanes each pack has: even sizes, and as many packs as keep every process busy.

    Example:
        >>> pack_sizes(10, lanes=4, processes=1), pack_sizes(10, 64, 2), pack_sizes(3, 64, 4)
        ([3, 4, 3], [5, 5], [3])
    """
    count = max(-(-trials // lanes), min(processes, trials // 2), 1)
    bounds = [round(k * trials / count) for k in range(count + 1)]
    return [last - first for first, last in pairwise(bounds) if last > first]
