"""What a person might name in a study: models and data that work, and that fail in every way."""

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from ridgeline import Splits


class Gated(nn.Sequential):
    """Once two trials are stored in ./run, training waits until the file ./go appears."""

    def forward(self, x: Tensor) -> Tensor:
        while self.training and len(list(Path("run/parts").glob("[!.]*"))) >= 2 and not Path("go").exists():
            time.sleep(0.01)
        return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]


def gated() -> nn.Module:
    return Gated(nn.Flatten(), nn.Linear(64, 10))


class Counted(nn.Sequential):
    """Writes down each training pass; once a trial is stored in ./run, says so by ./waits, and waits for ./go."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            while any(Path("run/parts").glob("[!.]*")) and not Path("go").exists():
                Path("waits").touch()
                time.sleep(0.01)
            with Path("passes").open("a") as file:
                file.write("x")
        return super().forward(x)  # type: ignore[no-any-return, no-untyped-call]


def counted() -> nn.Module:
    return Counted(
        nn.Flatten(), nn.Linear(64, 12, bias=False), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10)
    )


def no_module() -> dict[str, int]:
    return {}


def raising() -> nn.Module:
    raise KeyError("width")


class Wrong(nn.Module):
    """Fails in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        raise AttributeError("no such thing\nand a second line")


def narrow() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def mismatched() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(65, 10))


def normalized() -> nn.Module:
    """Training fails at a batch of a single example."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.BatchNorm1d(10))


def no_splits() -> int:
    return 3


def nan_data() -> Splits:
    return Splits(train=(torch.full((20, 3), float("nan")), torch.arange(20) % 2))


not_callable = 3
