"""Training the arms of a task by the solo engine: curves, and the loss of every test example at each stop."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.known_truth.arms import STOPS, Arm, Task
from ridgeline.data import Data, Examples
from ridgeline.lanes import Program, Training, train
from ridgeline.models import build_named
from ridgeline.noise import Clock
from ridgeline.penalties import L1, L2
from ridgeline.select import Rule, default_selection

# What is kept of a curve; the others follow from these.
COLUMNS = ("step", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "running_loss", "penalty")
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """A trained arm.

    Attributes:
        curves: by column, shape (1 + points,), NaN where there is no value.
        stops: the steps at which the test set was evaluated, shape (stops,).
        train: the training data loss there, shape (stops,).
        losses: of each test example at each stop, shape (stops, n_test).
        errors: 0 or 1 for each, shape (stops, n_test); None for regression.
    """

    curves: dict[str, np.ndarray]
    stops: np.ndarray
    train: np.ndarray
    losses: np.ndarray
    errors: np.ndarray | None


def data_of(task: Task) -> Data:
    """The task's sets; the same for all of its arms."""
    return task.sets(task.seed)


def trained(task: Task, arm: Arm, data: Data) -> Run:
    """Train an arm. A run that diverged has the stops before that."""
    test, every = data.test, task.steps // task.points(arm)
    stops = {share * task.steps // 100 for share in STOPS}
    assert test is not None
    models: list[nn.Module] = []
    found: list[tuple[int, Tensor, Tensor | None]] = []
    seen = 0

    def evaluated(steps: int) -> None:
        nonlocal seen
        seen += steps
        if seen in stops:
            found.append((seen, *_tested(models[0], test, task.loss)))

    places = frozenset(stops | set(range(every, task.steps + 1, every)))
    program = _program(task, arm, replace(data, test=None), places, models)
    curves = {
        name: np.array(values, dtype=np.float64)
        for name, values in train(program, _CPU, evaluated).curves.items()
    }
    shown = curves["step"] % every == 0  # early stops may lie between the points of a curve
    kept = [one for one in found if bool(torch.isfinite(one[1]).all())]
    errors = [error.numpy() for _, _, error in kept if error is not None]
    kept_steps = np.array([step for step, _, _ in kept])
    return Run(
        {name: curves[name][shown] for name in COLUMNS},
        kept_steps,
        curves["train_loss"][np.isin(curves["step"], kept_steps)],
        np.array([losses.numpy() for _, losses, _ in kept]),
        np.array(errors) if errors else None,
    )


def _program(task: Task, arm: Arm, data: Data, places: frozenset[int], models: list[nn.Module]) -> Program:
    """The engine's program, which evaluates at these places and leaves its model in `models`."""
    options: dict[str, object] = {}
    if task.network == "mlp":
        options = {"hidden": list(task.hidden), "dropout": arm.dropout}
    elif task.network == "cnn":
        options = {"channels": [8, 16], "hidden": task.hidden[0], "dropout": arm.dropout}

    def build(clock: Clock, data: Data) -> nn.Module:
        models.append(build_named(task.network, options, data.input_shape, data.n_outputs, clock))
        return models[0]

    penalty = L2(arm.l2) if arm.l2 else L1(arm.l1) if arm.l1 else None
    training = Training(
        optimizer=task.optimizer,
        lr=task.lr * arm.rate,
        momentum=task.momentum,
        batch_size=task.batch,
        steps=task.steps,
        loss=task.loss,
        evaluate_every=task.steps,
        evaluate_at=places,
        label_smoothing=arm.smoothing,
        schedule=task.learning,
    )
    rules = [] if penalty is None else [Rule(default_selection, penalty, "coupled")]
    return Program(build=build, data=data, training=training, rules=rules, seed=task.seed)


@torch.no_grad()
def _tested(model: nn.Module, test: Examples, loss: str) -> tuple[Tensor, Tensor | None]:
    """Loss and error of each test example, each of shape (n_test,)."""
    training = model.training
    x, y = test.batch(torch.arange(len(test)))
    output = torch.cat([model.eval()(part) for part in x.split(2_000)])
    model.train(training)
    if loss == "cross_entropy":
        return F.cross_entropy(output, y, reduction="none"), (output.argmax(1) != y).float()
    squared = (output - y).square().flatten(1).mean(1)
    return (squared if loss == "mse" else 0.5 * squared), None


def null_losses(task: Task, data: Data) -> tuple[float, float | None]:
    """Mean test loss and error of what knows only the training targets: their shares, or their mean."""
    test = data.test
    assert test is not None
    target, seen = test.targets(), data.train.targets()
    if task.loss != "cross_entropy":
        factor = 0.5 if task.loss == "half_mse" else 1.0
        return factor * float((target - seen.mean(0)).square().mean()), None
    counts = torch.bincount(seen, minlength=data.n_outputs).double() + 1.0
    losses = -(counts / counts.sum()).log()[target]
    return float(losses.mean()), float((target != counts.argmax()).double().mean())
