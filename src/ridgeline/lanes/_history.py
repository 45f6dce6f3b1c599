"""The recorded curve of a trial: one row an evaluation."""

import math
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
            finite = value is not None and math.isfinite(value)
            self.columns.setdefault(name, []).append(value if finite else None)


def curve_sets(sets: dict[str, Examples], training: Training) -> dict[str, Examples]:
    """The sets a curve is taken over: the head of train, val, and what the settings name."""
    chosen = {
        "train": sets["train"].subset(torch.arange(min(training.train_examples, len(sets["train"])))),
        "val": sets["val"],
    }
    for name, (origin, start, stop) in training.sets.items():
        if origin == "epoch":  # its examples change with the epochs
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
