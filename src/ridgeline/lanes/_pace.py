"""How fast a trial trains here, alone or in a pack: a few updates and a small evaluation, measured."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from ridgeline.data import Examples
from ridgeline.lanes._history import curve_sets
from ridgeline.lanes._lane_evaluate import View
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._precision import arithmetic
from ridgeline.lanes._probe import Probed
from ridgeline.lanes._program import Program, batches
from ridgeline.lanes._settings import Training
from ridgeline.lanes._updates import Rule

# Updates that are timed at the most, after the first, which pays for what is set up once.
_MOST = 10
# Examples of each set that are evaluated, at the least and at the most.
_FEW_EXAMPLES, _MOST_EXAMPLES = 32, 1_000


@dataclass(frozen=True)
class Pace:
    """What a trial, or a whole pack, takes, in seconds.

    Attributes:
        start: to be built.
        step: an update.
        point: an evaluation of the curve's sets.
        whole: an evaluation of the sets that the curve does not take whole.
    """

    start: float
    step: float
    point: float
    whole: float

    def seconds(self, training: Training) -> float:
        """All of it: its updates, its curve's points, and the whole sets at the last and the best step.

        Example:
            >>> from ridgeline.lanes import Training
            >>> training = Training("sgd", 0.1, 32, steps=10, loss="mse", evaluate_every=5)
            >>> Pace(start=100.0, step=1.0, point=10.0, whole=0.0).seconds(training)
            140.0
        """
        points = 1 + sum(training.evaluates(step) for step in range(1, training.steps + 1))
        return self.start + training.steps * self.step + points * self.point + 2 * self.whole


def pace_of(probed: Probed, device: torch.device, within: float = math.inf) -> Pace:
    """Of a trial that was built already; it is trained a little.

    Args:
        within: seconds that measuring should take, if two updates take no longer.
    """
    trial = probed.trial
    program, sets = trial.program, trial.sets
    with _apart(program.training, device):
        trial.model.train()
        order = batches(len(trial.train_set), program.training.batch_size, program.seed, 1 + _MOST)
        step = _of_updates(lambda: trial.update(next(order)), device, within / 2)
        curve = curve_sets(sets, program.training)
        most = examples_within(step, program.training.batch_size, within / 2)
        few, some = ({name: _head(each, n) for name, each in curve.items()} for n in (_FEW_EXAMPLES, most))
        moving = sum(len(each) for each in trial.moving_sets().values())
        trial.record(few, None)
        seconds = _timed(lambda: trial.record(some, None), device)
    others = {name: each for name, each in sets.items() if curve.get(name) is not each}
    every = [sum(len(e) for e in each.values()) for each in (some, curve, others)]
    return _by_examples(probed.seconds, step, seconds, every, moving)


def pace_of_pack(
    programs: Sequence[Program], device: torch.device, rule: Rule | None, within: float = math.inf
) -> Pace:
    """Of a pack of these trials, in the same way."""
    training = programs[0].training
    with _apart(training, device):
        began = _now(device)
        pack = Pack(programs, device, rule)
        start = _now(device) - began
        step = _of_updates(pack.update, device, within / 2)
        curve = pack.views
        most = examples_within(step, training.batch_size, within / 2)
        few, some = (
            {name: View(view.examples.cut(0, n)) for name, view in curve.items()}
            for n in (_FEW_EXAMPLES, most)
        )
        moving = sum(len(view) for view in pack.moving_views().values())
        for pack.views in (few, some):  # the first pays for what is set up once
            seconds = _timed(lambda: pack.record(None), device)
        sizes = {name: each.size for name, each in pack.state.sets.items()}
        whole = sum(size for name, size in sizes.items() if name not in curve or len(curve[name]) < size)
    every = [*(sum(len(v) for v in views.values()) for views in (pack.views, curve)), whole]
    return _by_examples(start, step, seconds, every, moving)


def examples_within(step: float, batch_size: int, seconds: float) -> int:
    """How many examples of each set to evaluate, where an update of so many takes so long.

    Example:
        >>> examples_within(0.1, 100, 1.0), examples_within(10.0, 10, 1.0), examples_within(0.001, 100, 1.0)
        (1000, 32, 1000)
    """
    an_example = max(step / batch_size, 1e-9)  # an evaluation takes a third of it, and there are some sets
    return int(max(_FEW_EXAMPLES, min(_MOST_EXAMPLES, seconds / an_example)))


def updates_within(first: float, seconds: float) -> int:
    """How many more updates to time, where one took `first` seconds.

    Example:
        >>> updates_within(0.001, 1.0), updates_within(0.25, 1.0), updates_within(5.0, 1.0)
        (9, 2, 0)
    """
    return int(max(0, min(_MOST - 1, seconds / max(first, 1e-9) - 2)))


def _of_updates(update: Callable[[], Any], device: torch.device, within: float) -> float:
    """The median of a few, the first left out."""
    _timed(update, device)
    first = _timed(update, device)
    return median([first, *(_timed(update, device) for _ in range(updates_within(first, within)))])


def _by_examples(start: float, step: float, seconds: float, counts: Sequence[int], moving: int) -> Pace:
    """Evaluations reckoned by their number of examples.

    Args:
        seconds: that an evaluation of some examples took.
        counts: of those, of the curve's sets, of the others at the end.
        moving: examples of the sets that change, which were evaluated too.
    """
    some, curve, whole = counts
    an_example = seconds / max(some + moving, 1)
    return Pace(start, step, an_example * (curve + moving), an_example * whole)


def _head(examples: Examples, most: int) -> Examples:
    return examples if len(examples) <= most else examples.subset(torch.arange(most))


@contextmanager
def _apart(training: Training, device: torch.device) -> Iterator[None]:
    """The trial's own arithmetic; whoever draws at random afterwards draws as if nothing had been measured."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), arithmetic(training.precision, device):
        yield


def _timed(call: Callable[[], Any], device: torch.device) -> float:
    began = _now(device)
    call()
    return _now(device) - began


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
