"""The pack: lanes trained together in one program, each the trial that solo gives."""

import math
import time
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ridgeline.lanes import _lane_terms as lane_terms
from ridgeline.lanes._feed import Orders
from ridgeline.lanes._history import record_all
from ridgeline.lanes._judged import Judged
from ridgeline.lanes._lane import Lane
from ridgeline.lanes._lane_evaluate import LaneEvaluations, View, evaluate_lanes, weight_facts
from ridgeline.lanes._lane_loss import corrects, smoothing_of
from ridgeline.lanes._lane_outcome import outcomes_of
from ridgeline.lanes._optimizer import learning_rate_factor
from ridgeline.lanes._outcome import Outcome
from ridgeline.lanes._program import Program
from ridgeline.lanes._running import LaneRunning
from ridgeline.lanes._settings import Schedule
from ridgeline.lanes._stacking import Stacking, stack
from ridgeline.lanes._updates import Rule


class Pack:
    """The state of a pack while it trains.

    Attributes:
        lanes: those that still train, in the order of axis 0.
        spent: seconds a lane that it trained before it was resumed.
    """

    def __init__(self, programs: Sequence[Program], device: torch.device, rule: Rule | None = None) -> None:
        self.began, self.spent, self.device, self.step = time.perf_counter(), 0.0, device, 0
        self.size = len(programs)
        made = stack(programs, device, rule)
        self.state: Stacking = made
        self.lanes = [Lane(place, programs[place]) for place in made.order]
        if self.size == 1:  # one lane alone rounds otherwise: it gets company
            self.lanes[1].place = None
        self.training = programs[0].training
        self.running, self.judged = LaneRunning(), Judged()
        self._settle()

    def _settle(self) -> None:
        """What follows from which lanes there are."""
        programs = [lane.program for lane in self.lanes]
        training, sets = self.training, self.state.sets
        self.orders = Orders([p.seed for p in programs], sets["train"].size, training.batch_size)
        values = [p.training.label_smoothing for p in programs]
        self.smoothing = smoothing_of(values, self.state.weights)
        clips = [p.training.clip_norm for p in programs]
        self.clip = None if all(c is None for c in clips) else [math.inf if c is None else c for c in clips]
        self.first_lr = [p.training.lr for p in programs]
        self.schedules = list(dict.fromkeys(p.training.schedule for p in programs))
        self.scheduled = [self.schedules.index(p.training.schedule) for p in programs]
        self.views = {"train": View(sets["train"].cut(0, training.train_examples)), "val": View(sets["val"])}
        for name, (origin, start, stop) in training.sets.items():
            if origin not in ("epoch", "batch"):
                self.views[name] = View(sets[origin].cut(start, stop))

    @property
    def seconds(self) -> float:
        """A lane's share of the time so far."""
        return self.spent + (time.perf_counter() - self.began) / self.size

    def run(
        self, on_steps: Callable[[int], None], after_update: Callable[["Pack"], None]
    ) -> Iterator[tuple[int, Outcome]]:
        """Train until every lane has left; yields its place and outcome when one leaves.

        Args:
            on_steps: called after each evaluation with the number of updates since the one before, of all lanes.
            after_update: called after each update, when lanes that leave with it have left.
        """
        if self.step == 0:
            self.record(None)
        reported = self.step
        while self.lanes and self.step < self.training.steps:
            batch = self.update()
            if self.training.evaluates(self.step):
                self.record(batch)
                on_steps((self.step - reported) * sum(lane.place is not None for lane in self.lanes))
                reported = self.step
                yield from self.leave([i for i, lane in enumerate(self.lanes) if lane.leaves])
            after_update(self)
        yield from self.leave(list(range(len(self.lanes))))

    def rates(self, step: int) -> list[float]:
        """The learning rate of each lane for the update after `step` updates."""
        steady = Schedule()
        if self.schedules == [steady]:
            return self.first_lr
        factors = [learning_rate_factor(s, step, self.training.steps) for s in self.schedules]
        return [lr * factors[k] for lr, k in zip(self.first_lr, self.scheduled, strict=True)]

    def update(self) -> tuple[Tensor, Tensor, Tensor]:
        """One update of every lane; returns each batch's data loss (L,), outputs and targets."""
        state, training = self.state, self.training
        x, y = state.sets["train"].read(self.orders.rows(self.step), 0, len(self.lanes))
        rates = self.rates(self.step)
        state.updates.begin(rates)
        losses, output = state.losses(x, y, self.step, training.loss, self.smoothing, early=self.clip is None)
        state.act(rates, self.first_lr, self.clip)
        self.step += 1
        hits = corrects(output, y).sum(1) if training.loss == "cross_entropy" else None
        self.running.add(losses, hits, y.shape[1])
        return losses, output, y

    def record(self, batch: tuple[Tensor, Tensor, Tensor] | None) -> None:
        """Evaluate the curves' sets, add a row to each history, keep the best weights."""
        state, loss, count = self.state, self.training.loss, len(self.lanes)
        views = {**self.views, **self.moving_views()}
        columns: dict[str, list[float | None]] = {
            "step": [self.step] * count,
            "epoch": [self.step / -(-self.orders.n // self.training.batch_size)] * count,
            "batch_loss": [None] * count if batch is None else batch[0].tolist(),
            "batch_accuracy": [None] * count,
        }
        if batch is not None and loss == "cross_entropy":
            columns["batch_accuracy"] = corrects(batch[1], batch[2]).double().mean(1).tolist()
        columns |= self.running.take(count)
        finite = [True] * count
        whole: dict[str, LaneEvaluations] = {}
        for name, view in views.items():
            found = evaluate_lanes(state.layer, state.tensors(), view, loss, count, state.numbers)
            if name in ("train", "val") and len(view) == state.sets[name].size:
                whole[name] = found
            losses, shares = found.means()
            columns[f"{name}_loss"], columns[f"{name}_accuracy"] = list(losses), shares
            finite = [ok and math.isfinite(each) for ok, each in zip(finite, losses, strict=True)]
        with torch.no_grad():
            columns["penalty"] = lane_terms.penalties(state.terms, state.views, count).tolist()
        columns |= {
            name: list(values) for name, values in weight_facts(state.layout, state.weights, count).items()
        }
        columns["lr"] = list(self.rates(max(self.step - 1, 0)) if self.step else self.first_lr)
        record_all([lane.history for lane in self.lanes], columns)
        better = [i for i, lane in enumerate(self.lanes) if lane.judge(columns, i, finite[i], self.step)]
        state.keep_best(better)
        self.judged.record(whole, better)

    def moving_views(self) -> dict[str, View]:
        """The sets whose examples change: slices of the running epoch, and the batch, of the last update."""
        epoch, place = divmod(max(self.step - 1, 0), -(-self.orders.n // self.training.batch_size))
        size, train = self.training.batch_size, self.state.sets["train"]
        found: dict[str, View] = {}
        for name, (origin, start, stop) in self.training.sets.items():
            if origin == "batch":
                found[name] = View(train, self.orders.cut(epoch, place * size, (place + 1) * size))
            elif origin == "epoch":
                found[name] = View(train, self.orders.cut(epoch, start, stop))
        return found

    def leave(self, gone: list[int]) -> Iterator[tuple[int, Outcome]]:
        """Evaluate these lanes whole, hand over their outcomes, and go on with the others."""
        if not gone:
            return
        yield from outcomes_of(
            self.state, self.lanes, gone, self.step, self.training.loss, self.seconds, self.judged
        )
        left = [i for i in range(len(self.lanes)) if i not in set(gone) and self.lanes[i].place is not None]
        if not left:
            self.lanes = []
            return
        index = torch.tensor(left if len(left) > 1 else left * 2)
        self.lanes = [self.lanes[i] for i in left]
        if len(left) == 1:
            self.lanes.append(Lane(None, self.lanes[0].program))
        self.running.chosen(index)
        self.judged.choose(index)
        self.state.choose(index)
        self._settle()
