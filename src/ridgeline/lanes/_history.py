"""The recorded curve of a trial: one row an evaluation."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ridgeline.data import Examples
from ridgeline.lanes._evaluate import Evaluation, evaluate
from ridgeline.lanes._settings import LossName, Training


@dataclass
class History:
    """Rows of numbers under fixed columns; `record` adds one."""

    columns: dict[str, list[float | None]] = field(default_factory=dict)

    def record(self, row: dict[str, float | None]) -> None:
        """Add a row; every row has the same keys."""
        for name, value in row.items():
            self.columns.setdefault(name, []).append(finite(value))


def finite(value: float | None) -> float | None:
    """The value where it is a finite number."""
    return value if value is not None and math.isfinite(value) else None


def record_all(histories: Sequence[History], columns: Mapping[str, Sequence[float | None]]) -> None:
    """Add a row to each history: one value a history in each column."""
    for name, values in columns.items():
        for history, value in zip(histories, map(finite, values), strict=True):
            history.columns.setdefault(name, []).append(value)


@dataclass
class Running:
    """What was trained on since the last record: training mode, dropout on, the weights still moving.

    Means over examples, as a training loop prints them at the end of an epoch.
    """

    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, loss: Tensor, hits: Tensor | None, size: int) -> None:
        """A batch: its mean loss (), how many of it were correct (), None for regression, and its size."""
        self.losses.append(loss)
        self.sizes.append(size)
        if hits is not None:
            self.hits.append(hits)

    def take(self) -> dict[str, float | None]:
        """The columns of a row, None where nothing was trained on; what comes later counts anew."""
        count = sum(self.sizes)
        row: dict[str, float | None] = {"running_loss": None, "running_accuracy": None}
        if count:
            weights = torch.tensor(self.sizes, dtype=torch.float64)
            row["running_loss"] = float(torch.stack(self.losses).double().cpu() @ weights) / count
        if self.hits:
            row["running_accuracy"] = int(torch.stack(self.hits).sum()) / count
        self.losses, self.hits, self.sizes = [], [], []
        return row


def curve_sets(sets: dict[str, Examples], training: Training) -> dict[str, Examples]:
    """The sets a curve is taken over: the head of train, val, and what the settings name."""
    train = sets["train"]
    if training.train_examples < len(train):
        train = train.subset(torch.arange(training.train_examples))
    chosen = {"train": train, "val": sets["val"]}
    for name, (origin, start, stop) in training.sets.items():
        if origin in ("epoch", "batch"):  # their examples change as it trains
            continue
        chosen[name] = sets[origin].subset(torch.arange(len(sets[origin]))[start:stop])
    return chosen


def measure(
    model: nn.Module, sets: dict[str, Examples], loss: LossName, device: torch.device
) -> tuple[dict[str, Evaluation], dict[str, float | None]]:
    """The evaluation of each set, and its loss and accuracy as columns of a row."""
    found = {name: evaluate(model, examples, loss, device) for name, examples in sets.items()}
    row: dict[str, float | None] = {}
    for name, evaluation in found.items():
        row[f"{name}_loss"] = evaluation.loss
        row[f"{name}_accuracy"] = evaluation.accuracy
    return found, row


@torch.no_grad()
def weight_facts(model: nn.Module) -> dict[str, float]:
    """‖w‖₂ and the share of exact zeros over all trainable tensors of two and more dimensions."""
    weights: list[Tensor] = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
    squares = sum(float(w.double().square().sum()) for w in weights)
    count = sum(w.numel() for w in weights)
    zeros = sum(w.numel() - int(torch.count_nonzero(w)) for w in weights)
    return {"weight_norm": math.sqrt(squares), "zero_share": zeros / count if count else 0.0}
