"""The solo engine: ordinary PyTorch, one trial at a time; the oracle of every other engine."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ridgeline.data import Examples
from ridgeline.errors import RidgelineError
from ridgeline.lanes._evaluate import Evaluation
from ridgeline.lanes._history import History, Running, curve_sets, measure, weight_facts
from ridgeline.lanes._loss import batch_loss, correct
from ridgeline.lanes._optimizer import build_optimizer, learning_rate_factor, set_learning_rate
from ridgeline.lanes._outcome import Outcome
from ridgeline.lanes._own_term import total
from ridgeline.lanes._patience import Patience
from ridgeline.lanes._precision import arithmetic, check_precision, lowered
from ridgeline.lanes._program import Program, batches, epoch_order
from ridgeline.noise import Clock, stream_key
from ridgeline.regularizer import Regularizer, regularize


def train(
    program: Program,
    device: torch.device,
    on_steps: Callable[[int], None] = lambda steps: None,
) -> Outcome:
    """Train one trial and evaluate it.

    Args:
        on_steps: called after each evaluation with the number of updates since the one before.
    """
    began = time.perf_counter()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), arithmetic(program.training.precision, device):
        trial = Trial(program, device)
        trial.run(on_steps)
        return trial.outcome(time.perf_counter() - began)


class Trial:
    """The state of one trial while it trains."""

    def __init__(self, program: Program, device: torch.device) -> None:
        self.program, self.device = program, device
        self.clock = Clock(program.seed)
        self.model = program.build(self.clock, program.data).to(device)
        if not any(p.requires_grad for p in self.model.parameters()):
            raise RidgelineError("the model has no trainable parameters; nothing can be trained.")
        check_precision(program.training.precision, self.model, device)
        self.callable = lowered(self.model, program.training.precision, device)
        self.sets: dict[str, Examples] = {n: e.to(device) for n, e in program.data.sets.items()}
        self.train_set = self.sets["train"]
        self.optimizer = build_optimizer(self.model, program.training)
        self.regularizer = self._regularize()
        self.own_terms = [term.of(self.model) for term in program.own_terms]
        self.own_audit = [
            made.audit(self.model, term) for made, term in zip(program.own_terms, self.own_terms, strict=True)
        ]
        self.history = History()
        self.running = Running()
        self.step = 0
        self.diverged = False
        self.best_loss, self.best_step = math.inf, 0
        self.best_state: dict[str, Tensor] = {}
        # of whole sets, made for the curve at the last record and at the best step
        self.last_found: dict[str, Evaluation] = {}
        self.best_found: dict[str, Evaluation] = {}

    def _regularize(self) -> Regularizer | None:
        if not self.program.rules:
            return None
        return regularize(
            self.model, self.program.rules, optimizer=self.optimizer, metric=self.program.metric
        )

    def run(self, on_steps: Callable[[int], None]) -> None:
        training = self.program.training
        sets = curve_sets(self.sets, training)
        stopper = None if training.early_stopping is None else Patience(training.early_stopping)
        row = self.record(sets, None)
        if stopper is not None and not self.diverged:
            stopper.stop(row[stopper.settings.monitor])  # the start is the first evaluation to improve on
        order = batches(len(self.train_set), training.batch_size, self.program.seed, training.steps)
        reported = 0
        self.callable.train()
        for index in order:
            batch = self.update(index)
            if training.evaluates(self.step):
                row = self.record(sets, batch)
                on_steps(self.step - reported)
                reported = self.step
                if self.diverged or (stopper is not None and stopper.stop(row[stopper.settings.monitor])):
                    return

    def update(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One update; returns the batch's data loss, outputs and targets."""
        training = self.program.training
        self.clock.step = self.step
        if self.program.foreign:
            torch.manual_seed(stream_key(self.program.seed, "torch", self.step))
        factor = learning_rate_factor(training.schedule, self.step, training.steps)
        set_learning_rate(self.optimizer, training.lr * factor)
        x, y = self.train_set.batch(index)
        x, y = x.to(self.device), y.to(self.device)
        output = self.callable(x)
        data_loss = batch_loss(training.loss, output, y, training.label_smoothing)
        added = [None if self.regularizer is None else self.regularizer.objective(), total(self.own_terms)]
        self.optimizer.zero_grad(set_to_none=True)
        sum((term for term in added if term is not None), data_loss).backward()
        if training.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.optimizer.step()
        self.step += 1
        hits = correct(output, y).sum() if training.loss == "cross_entropy" else None
        self.running.add(data_loss.detach(), hits, len(y))
        return data_loss.detach(), output.detach(), y

    def record(
        self, sets: dict[str, Examples], batch: tuple[Tensor, Tensor, Tensor] | None
    ) -> dict[str, float | None]:
        """Evaluate the curve's sets, add a row to the history, keep the best weights."""
        training = self.program.training
        if self.program.foreign:  # a Dataset may draw at random whenever it is read
            torch.manual_seed(stream_key(self.program.seed, "torch/evaluate", self.step))
        sets = {**sets, **self.moving_sets()}
        found, values = measure(self.callable, sets, training.loss, self.device)
        hits = batch is not None and training.loss == "cross_entropy"
        row: dict[str, float | None] = {
            "step": self.step,
            "epoch": self.step / -(-len(self.train_set) // training.batch_size),
            "batch_loss": None if batch is None else float(batch[0]),
            "batch_accuracy": float(correct(batch[1], batch[2]).double().mean()) if hits and batch else None,
            **self.running.take(),
            **values,
            "penalty": self.penalty(),
            **weight_facts(self.model),
            "lr": float(self.optimizer.param_groups[0]["lr"]),
        }
        self.history.record(row)
        self.last_found = {n: e for n, e in found.items() if n in self.sets and sets[n] is self.sets[n]}
        self.diverged = not all(math.isfinite(evaluation.loss) for evaluation in found.values())
        if not self.diverged and found["val"].loss < self.best_loss:
            self.best_loss, self.best_step = found["val"].loss, self.step
            self.best_state = {k: v.detach().clone() for k, v in _tensors(self.model)}
            self.best_found = self.last_found
        return row

    def moving_sets(self) -> dict[str, Examples]:
        """The sets whose examples change: slices of the running epoch, and the batch, of the last update."""
        n, training = len(self.train_set), self.program.training
        wanted = {name: ends for name, ends in training.sets.items() if ends[0] in ("epoch", "batch")}
        if not wanted:
            return {}
        epoch, place = divmod(max(self.step - 1, 0), -(-n // training.batch_size))
        order = epoch_order(n, self.program.seed, epoch)
        batch = order[place * training.batch_size :][: training.batch_size]
        return {
            name: self.train_set.subset(batch if origin == "batch" else order[slice(*ends)])
            for name, (origin, *ends) in wanted.items()
        }

    @torch.no_grad()
    def penalty(self) -> float:
        """The whole penalty as it stands, own terms included."""
        own = total(self.own_terms)
        ours = 0.0 if self.regularizer is None else float(self.regularizer.penalty())
        return ours + (0.0 if own is None else float(own))

    def _whole(self, found: dict[str, Evaluation]) -> dict[str, Evaluation]:
        """The evaluation of every set: those that were made for the curve, and the others anew.

        Where a Dataset draws at random whenever it is read, these are the draws that the curve shows.
        """
        others = {name: each for name, each in self.sets.items() if name not in found}
        made, _ = measure(self.callable, others, self.program.training.loss, self.device)
        return {name: (found | made)[name] for name in self.sets}

    @torch.no_grad()
    def _take_best(self) -> None:
        for name, t in _tensors(self.model):
            t.copy_(self.best_state[name])

    def outcome(self, seconds: float) -> Outcome:
        """Evaluate every set whole at the last and the best step; leaves the model at the best."""
        weights = {k: v.detach().cpu().clone() for k, v in self.model.state_dict().items()}
        last: dict[str, Evaluation] = {}
        best: dict[str, Evaluation] = {}
        if not self.diverged:
            last = best = self._whole(self.last_found)
            if self.best_step != self.step:
                self._take_best()
                best = self._whole(self.best_found)
        return Outcome(
            status="diverged" if self.diverged else "done",
            steps=self.step,
            seconds=seconds,
            best_step=self.best_step if best else None,
            curves=self.history.columns,
            last=last,
            best=best,
            weights=weights,
            audit=self.own_audit + ([] if self.regularizer is None else self.regularizer.audit().rows),
        )


def _tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and all buffers: a state_dict leaves out those that are not persistent."""
    return [*model.named_parameters(), *model.named_buffers()]
