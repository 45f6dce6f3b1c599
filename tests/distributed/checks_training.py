"""A few steps sharded end where they end in one process: every mode, every penalty, several optimizers."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any

import torch
from torch.optim import Optimizer

import ridgeline
from ridgeline.penalties import Penalty
from ridgeline.select import Mode
from tests.distributed.checks_value import PENALTIES
from tests.distributed.models import close, network, sharded, train, wholes
from tests.distributed.worlds import World, check

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "SGD momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, foreach=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.02),
    "Adam foreach": lambda p: torch.optim.Adam(p, lr=0.02, foreach=True),
    "AdamW fused": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.0, fused=True),
}
# Adam's metric has no formula for singular values.
ELEMENTWISE = ("Adam foreach", "AdamW fused")
NO_PROX = ("Norm-3", "Orthogonal", "L1-mean+Nuclear")


def trained_alike(mode: Mode, penalty: Penalty, build: Callable[[Any], Optimizer], world: World) -> None:
    """Weights after five steps, and the value reported then."""
    found = []
    for model, place in ((network(), None), (sharded(world.mesh), world)):
        optimizer = build(model.parameters())
        reg = ridgeline.regularize(model, penalty, optimizer=optimizer, mode=mode)
        train(model, optimizer, place, reg.penalty if mode == "loss" else lambda: 0.0)
        found.append((wholes(model.parameters()), reg.penalty().detach(), reg.log()))
        reg.remove()
    (expected, value, told), (weights, there, log) = found
    world.require(close(weights, expected, rtol=1e-9, atol=1e-11), "weights")
    world.require(torch.allclose(there, value, rtol=1e-9), f"{float(there)}, not {float(value)}")
    zeros = "ridgeline/exact_zeros"
    world.require(log[zeros] == told[zeros], f"{log[zeros]} exact zeros, not {told[zeros]}")


def cases() -> Iterator[tuple[Mode, str, str]]:
    """Mode, penalty, optimizer."""
    taken = cycle(OPTIMIZERS)
    modes: tuple[Mode, ...] = ("loss", "coupled", "decoupled", "independent")
    for mode in modes:
        for name in PENALTIES:
            yield mode, name, next(taken)
    for name in PENALTIES:
        if name not in NO_PROX:
            yield "proximal", name, "SGD momentum"
        if name not in (*NO_PROX, "Nuclear"):
            yield "proximal", name, ELEMENTWISE[len(name) % 2]


for number, (mode, given, optimizer) in enumerate(cases()):
    run = partial(trained_alike, mode, PENALTIES[given], OPTIMIZERS[optimizer])
    sizes = (2, 3) if number % 4 == 0 else (3,)  # over three, nothing splits evenly
    check(*sizes, name=f"training[{mode}-{given}-{optimizer}]")(run)
