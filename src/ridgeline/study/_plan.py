"""The plan: how a study's trials are laid on the machine. Pure; written before the first step, obeyed after."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, TypeAlias

from ridgeline.errors import RidgelineError

EngineName: TypeAlias = Literal["auto", "solo"]
ENGINES: tuple[EngineName, ...] = ("auto", "solo")

# Below this much predicted work a second process does not repay its start-up (import and first batch, 3 s).
_WORTH_A_PROCESS_S = 12.0
# Rough CPU rates for the prediction only: multiply-adds a second on one core, overhead of a step.
_RATE = 1.5e10
_STEP_S = 3e-4


@dataclass(frozen=True)
class Plan:
    """Where trials run.

    Attributes:
        processes: 1 means in this process; more means one process each, `threads` threads in each.
        reason: a sentence for the reader.
    """

    engine: str
    device: str
    processes: int
    threads: int
    reason: str

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
            return cls(**value)
        except TypeError:
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
