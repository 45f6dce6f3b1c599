"""Baseline by ModelBatch, which stacks torch models under `torch.vmap` and gives each its parameter group.

    pip install modelbatch

As its documentation has it, all models read one stream of batches. The penalty is added to the loss: its
groups' decay would take the biases as well. Its version 0.1.0 drops the same units at every step.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.engines.torch_loops import Weights, loss_of_task
from benchmarks.engines.workloads import EVALUATE_EVERY, Ended, Work


def trained(work: Work, start: Sequence[Weights] | None = None) -> list[Ended]:
    """All lanes of a row.

    Args:
        start: each lane's first weights; None leaves them as torch draws them.
    """
    package: Any = importlib.import_module("modelbatch")
    torch.manual_seed(0)
    asked = work.asked()
    models = [work.model() for _ in asked]
    for model, weights in zip(models, start or (), strict=start is not None):
        model.load_state_dict(weights)
    lanes = package.ModelBatch(models)
    kind = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
    made = package.OptimizerFactory(kind, {"lr": work.lr})
    optimizer = made.create_optimizer(lanes, [{"lr": work.lr} for _ in asked])
    strengths = torch.tensor([each.strength for each in asked])
    matrices = [w for w in lanes.stacked_params.values() if w.ndim > 2]
    x, y, val_x, val_y = work.tensors()
    loss_of, step = loss_of_task(work), 0
    found: list[tuple[list[float], list[float]]] = []
    while step < work.steps:
        order = torch.randperm(len(x))
        for inputs, targets in zip(x[order].split(work.batch), y[order].split(work.batch), strict=True):
            penalties = sum((w.square().flatten(1).sum(1) for w in matrices), torch.zeros(len(asked)))
            optimizer.zero_grad()
            loss = lanes.compute_loss(lanes(inputs), targets, loss_of)
            (loss + 0.5 * (strengths * penalties).sum()).backward()
            optimizer.step()
            step += 1
            if step % EVALUATE_EVERY == 0 or step == work.steps:
                found = [_evaluated(work, lanes, *each) for each in ((x, y), (val_x, val_y))]
            if step == work.steps:
                break
    (losses, _), (val_losses, hits) = found
    return [Ended(each, losses[k], val_losses[k], hits[k]) for k, each in enumerate(asked)]


@torch.no_grad()
def _evaluated(work: Work, lanes: Any, x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    """Data loss and accuracy of each lane."""
    lanes.func_model.eval()
    output = lanes(x)
    losses = lanes.compute_loss(output, y, loss_of_task(work), reduction="none")
    lanes.func_model.train()
    hits = (output.argmax(2) == y).double().mean(1) if work.outputs > 1 else torch.zeros(len(losses))
    return losses.tolist(), hits.tolist()
