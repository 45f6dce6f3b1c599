"""One trial, ready to train, and the order in which it sees its examples."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from ridgeline.data import Data
from ridgeline.lanes._own_term import OwnTerm
from ridgeline.lanes._settings import Training
from ridgeline.noise import Clock, permutation, stream_key
from ridgeline.regularizer import Metric
from ridgeline.select import Rule


@dataclass(frozen=True)
class Program:
    """One trial, ready to train: a pure function of these values.

    Attributes:
        build: makes the model with weights drawn by clock.seed, and dropout that reads the clock.
        model_key: programs of equal keys and seeds build equal models; None where that is not known.
        foreign: whether model or data may draw from torch's global generator, which is then seeded
            before each step.
    """

    build: Callable[[Clock, Data], nn.Module]
    data: Data
    training: Training
    rules: Sequence[Rule]
    seed: int
    foreign: bool = False
    metric: Metric = "optimizer"
    own_terms: Sequence[OwnTerm] = ()
    model_key: str | None = None


def epoch_order(n: int, seed: int, epoch: int) -> Tensor:
    """The row numbers of an epoch, a permutation drawn by (seed, epoch)."""
    return permutation(stream_key(seed, "order", epoch), n)


def batches(n: int, batch_size: int, seed: int, steps: int) -> Iterator[Tensor]:
    """The row numbers of each batch: each epoch's order, cut in order."""
    made, epoch = 0, 0
    while made < steps:
        order = epoch_order(n, seed, epoch)
        for start in range(0, n, batch_size):
            if made == steps:
                return
            yield order[start : start + batch_size]
            made += 1
        epoch += 1
