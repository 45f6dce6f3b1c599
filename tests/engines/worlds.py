"""Small worlds to train in: data, programs, and curves as arrays."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ridgeline.data import Data, Splits, draw
from ridgeline.lanes import Outcome, Program, Training, train
from ridgeline.models import build_factory, build_named
from ridgeline.noise import Clock
from ridgeline.penalties import L1, L2
from ridgeline.select import Mode, Rule, default_selection

CPU = torch.device("cpu")
Build = Callable[[Clock, Data], nn.Module]


def rows(n: int, n_inputs: int, seed: int) -> Tensor:
    """Normal inputs (n, n_inputs)."""
    return torch.randn(n, n_inputs, generator=torch.Generator().manual_seed(seed))


def classes(n_train: int = 37, n_inputs: int = 6) -> Data:
    """Three classes, by the largest of three noisy inputs; sizes that no batch size divides."""

    def part(n: int, seed: int) -> tuple[Tensor, Tensor]:
        x = rows(n, n_inputs, seed)
        return x, (x[:, :3] + 0.5 * rows(n, 3, seed + 50)).argmax(1)

    splits = Splits(train=part(n_train, 1), val=part(23, 2), test=part(19, 3))
    return draw(lambda seed: splits, 0)


def numbers(n_train: int = 30, n_inputs: int = 4) -> Data:
    """A noisy line."""
    slope = rows(n_inputs, 1, 9)

    def part(n: int, seed: int) -> tuple[Tensor, Tensor]:
        x = rows(n, n_inputs, seed)
        return x, x @ slope + 0.7 + 0.3 * rows(n, 1, seed + 50)

    splits = Splits(train=part(n_train, 1), val=part(11, 2), task="regression")
    return draw(lambda seed: splits, 0)


def named(name: str, **options: Any) -> Build:
    """Builds a named network."""
    return lambda clock, data: build_named(name, options, data.input_shape, data.n_outputs, clock)


def own(factory: Callable[..., nn.Module], **options: Any) -> Build:
    """Builds a person's own model."""
    return lambda clock, data: build_factory(factory, options, clock)


def penalty(kind: type[L1] | type[L2], strength: float, mode: Mode = "loss") -> list[Rule]:
    """One penalty on the default selection."""
    return [Rule(default_selection, kind(strength), mode)]


def program(
    data: Data,
    build: Build | None = None,
    rules: Sequence[Rule] = (),
    seed: int = 0,
    foreign: bool = False,
    **training: Any,
) -> Program:
    """A program of 20 SGD steps, evaluated every 5, unless told otherwise."""
    loss = "cross_entropy" if data.task == "classification" else "mse"
    settings = {
        "optimizer": "sgd",
        "lr": 0.1,
        "batch_size": 8,
        "steps": 20,
        "evaluate_every": 5,
        "loss": loss,
    }
    made = build or named("mlp", hidden=[7])
    return Program(made, data, Training(**{**settings, **training}), rules, seed, foreign)


def trained(data: Data, *args: Any, **kwargs: Any) -> Outcome:
    """The outcome of `program` with the same arguments."""
    return train(program(data, *args, **kwargs), CPU)


def column(outcome: Outcome, name: str) -> npt.NDArray[np.float64]:
    """One column of a curve."""
    return np.array(outcome.curves[name], dtype=np.float64)


def loaded(built: Program, weights: dict[str, Tensor]) -> nn.Module:
    """The program's model in evaluation mode with these weights."""
    with torch.random.fork_rng(devices=[]):
        model = built.build(Clock(built.seed), built.data)
    model.load_state_dict(weights)
    return model.eval()


def same(a: Outcome, b: Outcome) -> bool:
    """Whether two outcomes are equal bit for bit, but for the seconds."""
    evaluations = [(a.last, b.last), (a.best, b.best)]
    return (
        a.curves == b.curves
        and (a.steps, a.best_step, a.status) == (b.steps, b.best_step, b.status)
        and a.weights.keys() == b.weights.keys()
        and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
        and all(torch.equal(x[n].losses, y[n].losses) for x, y in evaluations for n in x)
    )
