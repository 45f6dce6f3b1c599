"""The rows of the table: data, models and settings, as a study for ridgeline and as plain torch for the others."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ridgeline import Splits, Study

EVALUATE_EVERY = 100
_STRENGTHS = 8


class Asked(NamedTuple):
    """Which trial: its strength of L2 on the weights, and its seed."""

    strength: float
    seed: int


class Ended(NamedTuple):
    """A trial that was trained: losses over all examples, and accuracy (0 for a regression), at the end."""

    asked: Asked
    train_loss: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class Work:
    """One row: shapes, how it is trained, and how many lanes.

    Attributes:
        hidden: widths of an MLP's hidden layers, none for a linear model; None is the convolutional network.
        precision: of ridgeline's products; the baselines compute in float32.
        weakest: the strengths are its multiples.
        examples: to train on; a quarter as many validate.
    """

    name: str
    inputs: tuple[int, ...]
    hidden: tuple[int, ...] | None
    batch: int
    optimizer: str
    lr: float
    steps: int
    lanes: int
    dropout: float = 0.0
    precision: str = ""
    weakest: float = 1e-4
    examples: int = 2_000

    @property
    def outputs(self) -> int:
        """A linear model predicts one number, a network ten classes."""
        return 1 if self.hidden == () else 10

    def asked(self) -> list[Asked]:
        """Lanes differ in strength and seed: every strength with seed 0, then with seed 1, and so on."""
        found = [self.weakest * (k + 1) for k in range(min(_STRENGTHS, self.lanes))]
        return [Asked(strength, seed) for seed in range(self.lanes // len(found)) for strength in found]

    def study(self) -> Study:
        """All lanes as a person would ask for them."""
        here, asked = "benchmarks.engines.workloads", self.asked()
        train = {"optimizer": self.optimizer, "lr": self.lr, "batch_size": self.batch, "steps": self.steps}
        data = {"inputs": list(self.inputs), "outputs": self.outputs, "examples": self.examples}
        model: dict[str, Any] = {"name": "linear"} if self.hidden == () else {"name": "mlp"}
        if self.hidden is None:
            model = {"factory": f"{here}:convolutional"}
        elif self.hidden:
            model |= {"hidden": list(self.hidden), "dropout": self.dropout}
        return Study(
            name=self.name,
            data={"factory": f"{here}:splits", **data},
            model=model,
            train={**train, "precision": self.precision} if self.precision else train,
            regularization={"penalty": "l2", "strength": 0.0},
            evaluate={"every": EVALUATE_EVERY},
            vary={"regularization.strength": [each.strength for each in asked if each.seed == 0]},
            seeds=asked[-1].seed + 1,
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs and targets to train on, and those to validate."""
        return _made(self.inputs, self.outputs, self.examples)

    def model(self) -> nn.Module:
        """The network as plain torch, weights drawn by torch; parameters are called as in the study."""
        if self.hidden is None:
            return convolutional()
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        width = self.inputs[0]
        for number, size in enumerate(self.hidden, 1):
            layers[f"hidden{number}"], layers[f"relu{number}"] = nn.Linear(width, size), nn.ReLU()
            if self.dropout:
                layers[f"dropout{number}"] = nn.Dropout(self.dropout)
            width = size
        layers["output"] = nn.Linear(width, self.outputs)
        return nn.Sequential(layers)


@lru_cache(maxsize=4)
def _made(inputs: tuple[int, ...], outputs: int, examples: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(examples + examples // 4, *inputs, generator=generator)
    first = x.flatten(1)[:, 0]
    y = 2 * first[:, None] if outputs == 1 else (first.abs() * 5).long().clamp(max=9)
    return x[:examples], y[:examples], x[examples:], y[examples:]


def splits(inputs: list[int], outputs: int, examples: int) -> Splits:
    """A study's data, held in memory, as the baselines hold them."""
    x, y, val_x, val_y = _made(tuple(inputs), outputs, examples)
    return Splits(train=(x, y), val=(val_x, val_y), task="regression" if outputs == 1 else "classification")


def convolutional() -> nn.Module:
    """conv 5×5×32, ReLU, max-pool 2×2, linear 6272-1024, ReLU, linear 1024-10; images of 1×28×28."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(1, 32, 5, padding=2),
        relu1=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        hidden=nn.Linear(6_272, 1_024),
        relu2=nn.ReLU(),
        output=nn.Linear(1_024, 10),
    )
    return nn.Sequential(layers)


_IMAGE = (1, 28, 28)
_WIDE = Work("mlp-wide", (784,), (1500, 1000, 500), 64, "adam", 1e-3, 300, 8)
_CONV = Work("conv", _IMAGE, None, 100, "adam", 1e-3, 100, 8)
WORKS = {
    work.name: work
    for work in (
        Work("linear-200", (200,), (), 1, "sgd", 1e-3, 2_000, 512),
        Work("mlp-64", (64,), (64,), 32, "adam", 1e-3, 2_000, 64),
        Work("mlp-784", (784,), (128,), 64, "adam", 1e-3, 2_000, 64),
        Work("mlp-dropout", (784,), (256, 256), 256, "sgd", 1e-2, 1_000, 16, 0.5),
        _WIDE,
        _CONV,
        replace(_WIDE, name="mlp-wide-bf16", precision="bf16-matmul"),
        replace(_CONV, name="conv-bf16", precision="bf16-matmul"),
    )
}
