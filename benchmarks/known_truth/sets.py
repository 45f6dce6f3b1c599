"""From a law or an image set to the sets of a task: few to train on, some to validate, 10,000 and more to test."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.known_truth.made import Family
from ridgeline.data import SOURCES, Data, Splits, draw
from ridgeline.data import Task as Sort

N_TEST = 10_000
Sets: TypeAlias = Callable[[int], Data]


def made(
    family: Family, n_train: int, n_val: int, sort: Sort = "classification", label_noise: float = 0.0
) -> Sets:
    """Sets drawn from a law of the family, which the seed draws first.

    Args:
        label_noise: the share of training labels exchanged; validation and test keep theirs.
    """

    def sets(seed: int) -> Data:
        law = family(np.random.default_rng([seed, 0]))
        drawn = [law(np.random.default_rng([seed, i]), n) for i, n in enumerate((n_train, n_val, N_TEST), 1)]
        tensors = [(torch.from_numpy(x).float(), torch.from_numpy(y)) for x, y in drawn]
        train, val, test = tensors
        splits = Splits(train=train, val=val, test=test, task=sort)
        return draw(lambda _: splits, seed, label_noise=label_noise)

    return sets


@lru_cache(maxsize=4)
def _pooled(name: str, size: int) -> Splits:
    """An image set, its images averaged down to size × size."""
    folder = os.environ.get("RIDGELINE_DATA")
    whole = SOURCES[name](Path(folder) if folder else None)(0)

    def small(examples: object) -> object:
        x = examples.x  # type: ignore[attr-defined]  # tensors in memory
        return replace(examples, x=x if size == x.shape[-1] else F.adaptive_avg_pool2d(x, size))  # type: ignore[type-var]  # a dataclass

    return Splits(train=small(whole.train), val=small(whole.val), test=small(whole.test))


def images(name: str, size: int, n_train: int, n_val: int, label_noise: float = 0.0) -> Sets:
    """Images of MNIST or Fashion-MNIST at size × size; the test set is the 10,000 published ones."""

    def sets(seed: int) -> Data:
        found = draw(lambda _: _pooled(name, size), seed, n_train=n_train, label_noise=label_noise)
        start = (seed * n_val) % (len(found.val) - n_val + 1)
        return replace(found, val=found.val.subset(torch.arange(start, start + n_val)))

    return sets
