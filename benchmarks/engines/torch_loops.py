"""Baselines in torch, one trial at a time: the loop as it is published, and a tuned one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.engines.workloads import EVALUATE_EVERY, Asked, Ended, Work

Weights = Mapping[str, Tensor]
_PIECE = 1_000  # examples evaluated at once


def tutorial(work: Work, asked: Asked, start: Weights | None = None) -> Ended:
    """The published loop: default optimizer, penalty by autograd, DataLoader.

    Args:
        start: the first weights; None leaves them as torch draws them.
    """
    torch.manual_seed(asked.seed)
    model = _model(work, start)
    weights = [p for p in model.parameters() if p.ndim > 1]
    kind = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
    optimizer = kind(model.parameters(), lr=work.lr)
    x, y, val_x, val_y = work.tensors()
    train_set, val_set = TensorDataset(x, y), TensorDataset(val_x, val_y)
    loader = DataLoader(train_set, work.batch, shuffle=True)
    loss_of, step = loss_of_task(work), 0
    found: list[tuple[float, float]] = []
    while step < work.steps:
        for inputs, targets in loader:
            penalty = sum((w.square().sum() for w in weights), torch.zeros(()))
            loss = loss_of(model(inputs), targets) + 0.5 * asked.strength * penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if step % EVALUATE_EVERY == 0 or step == work.steps:
                found = [evaluated(work, model, DataLoader(each, _PIECE)) for each in (train_set, val_set)]
            if step == work.steps:
                break
    return ended(asked, found)


def tuned(work: Work, asked: Asked, start: Weights | None = None) -> Ended:
    """As fast as plain torch goes: fused optimizer with its own decay, an epoch's examples shuffled in one go."""
    torch.manual_seed(asked.seed)
    model = _model(work, start)
    parameters = list(model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": asked.strength},  # ½ λ Σw²
        {"params": [p for p in parameters if p.ndim == 1]},
    ]
    kind = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
    optimizer = kind(groups, lr=work.lr, fused=True)
    x, y, val_x, val_y = work.tensors()
    loss_of, step = loss_of_task(work), 0
    found: list[tuple[float, float]] = []
    while step < work.steps:
        order = torch.randperm(len(x))
        for inputs, targets in zip(x[order].split(work.batch), y[order].split(work.batch), strict=True):
            loss_of(model(inputs), targets).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            if step % EVALUATE_EVERY == 0 or step == work.steps:
                pieces = [
                    zip(a.split(_PIECE), b.split(_PIECE), strict=True) for a, b in ((x, y), (val_x, val_y))
                ]
                found = [evaluated(work, model, each) for each in pieces]
            if step == work.steps:
                break
    return ended(asked, found)


def loss_of_task(work: Work) -> Callable[..., Tensor]:
    """The data loss of a row, a mean over the batch."""
    return F.mse_loss if work.outputs == 1 else F.cross_entropy


def _model(work: Work, start: Weights | None) -> nn.Module:
    model = work.model()
    if start is not None:
        model.load_state_dict(start)
    return model.train()


@torch.no_grad()
def evaluated(work: Work, model: nn.Module, pieces: Iterable[Iterable[Tensor]]) -> tuple[float, float]:
    """Data loss and accuracy over a set, as every loop prints them."""
    model.eval()
    loss_of, loss, hits, count = loss_of_task(work), 0.0, 0, 0
    for x, y in pieces:
        output = model(x)
        loss += float(loss_of(output, y, reduction="sum"))
        if work.outputs > 1:
            hits += int((output.argmax(1) == y).sum())
        count += len(y)
    model.train()
    return loss / count, hits / count


def ended(asked: Asked, found: Sequence[tuple[float, float]]) -> Ended:
    """From what was found on the training and on the validation set."""
    (train_loss, _), (val_loss, val_accuracy) = found
    return Ended(asked, train_loss, val_loss, val_accuracy)
