"""The arms of the table: how each is run and what of it is timed."""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engines import jax_lanes, model_batch, ours, torch_loops, tuners
from benchmarks.engines.seats import CORES, Seats
from benchmarks.engines.workloads import Ended, Work
from ridgeline.study._plan import EngineName, Plan

AUTO = "ridgeline auto"
# Trials that arms take which go through them one by one: enough to share out what is paid once.
_BY_CORE, _BY_TUNER = 1, 8


@dataclass(frozen=True)
class Timed:
    """What an arm took in one round.

    Attributes:
        seconds: a trial, all in.
        note: what it chose.
    """

    seconds: float
    ended: list[Ended]
    note: str = ""


@dataclass(frozen=True)
class Arm:
    """One way to train a row.

    Attributes:
        package: what must be installed for it; "" for nothing.
    """

    name: str
    run: Callable[[Seats, Work], Timed]
    package: str = ""

    @property
    def missing(self) -> str:
        """Why it cannot run here; "" where it can."""
        there = not self.package or importlib.util.find_spec(self.package) is not None
        return "" if there else f"{self.package} is not installed"


def _timed(run: Callable[[], Sequence[Ended]]) -> Timed:
    began = time.perf_counter()
    ended = list(run())
    return Timed((time.perf_counter() - began) / len(ended), ended)


def _tutorial(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: [seats.one("baselines", torch_loops.tutorial, work, work.asked()[0])])


def _tuned(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: [seats.one("baselines", torch_loops.tuned, work, work.asked()[0])])


def _processes(seats: Seats, work: Work) -> Timed:
    each = [(work, asked) for asked in work.asked()[: _BY_CORE * CORES]]
    return _timed(lambda: seats.cores("baselines", torch_loops.tuned, each))


def _jax(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: seats.one("jax", jax_lanes.trained, work, False))


def _jax_warm(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: seats.one("jax", jax_lanes.trained, work, True))


def _model_batch(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: seats.one("baselines", model_batch.trained, work))


def _ray(seats: Seats, work: Work) -> Timed:
    seats.one("ray", tuners.ray_up, CORES)
    try:
        return _timed(lambda: seats.one("ray", tuners.ray_tune, work, _BY_TUNER))
    finally:
        seats.one("ray", tuners.ray_down)


def _optuna_threads(seats: Seats, work: Work) -> Timed:
    return _timed(lambda: seats.one("baselines", tuners.optuna_threads, work, _BY_TUNER, CORES))


def _optuna_processes(seats: Seats, work: Work) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        asked = (work, _BY_TUNER, str(Path(folder) / "journal"))

        def run() -> list[Ended]:
            seats.cores("baselines", tuners.optuna_worker, [asked] * CORES)
            return seats.one("baselines", tuners.optuna_found, *asked)

        return _timed(run)


def ridgeline(seats: Seats, work: Work, engine: EngineName) -> Timed:
    """Plan all lanes, and train them; of trials one by one only as many as settle their time."""
    began = time.perf_counter()
    plan, pieces = seats.one("ridgeline", ours.planned, work, engine)
    planning = time.perf_counter() - began
    if engine == "solo":
        pieces = pieces[: 2 * CORES]
    trained = _timed(lambda: train(seats, work, plan, pieces))
    seconds = planning / work.lanes + trained.seconds
    return Timed(seconds, trained.ended, f"{said(plan)}; planned in {planning:.2f} s")


def train(seats: Seats, work: Work, plan: Plan, pieces: Sequence[ours.Piece]) -> list[Ended]:
    """Train pieces where the plan has them."""
    each = [(work, piece) for piece in pieces]
    if plan.processes > 1:
        found = seats.cores("ridgeline", ours.train_piece, each)
    else:
        found = [seats.one("ridgeline", ours.train_piece, *one) for one in each]
    return [ended for piece in found for ended in piece]


def said(plan: Plan) -> str:
    """A plan in a few words."""
    where = f"{plan.processes} process(es) of {plan.threads} thread(s)"
    return f"{plan.engine} in {where}, products by {plan.products}"


ARMS = [
    Arm("tutorial", _tutorial),
    Arm("tuned", _tuned),
    Arm("processes", _processes),
    Arm(AUTO, lambda seats, work: ridgeline(seats, work, "auto")),
    Arm("ridgeline lanes", lambda seats, work: ridgeline(seats, work, "lanes")),
    Arm("ridgeline solo", lambda seats, work: ridgeline(seats, work, "solo")),
    Arm("jax", _jax, "jax"),
    Arm("jax, compiled before", _jax_warm, "jax"),
    Arm("modelbatch", _model_batch, "modelbatch"),
    Arm("optuna, threads", _optuna_threads, "optuna"),
    Arm("optuna, processes", _optuna_processes, "optuna"),
    Arm("ray tune", _ray, "ray"),
]
