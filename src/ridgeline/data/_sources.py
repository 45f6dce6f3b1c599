"""The named data sets: functions of their options that give a source, which a seed turns into splits."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from ridgeline.data._examples import ArrayExamples
from ridgeline.data._folder import find_file
from ridgeline.data._idx import read_idx
from ridgeline.data._splits import Source, Splits
from ridgeline.noise import normal, permutation, stream_key

Count = Annotated[int, Ge(1)]


def digits(data_dir: Path | None = None) -> Source:
    """scikit-learn's digits, 1,797 images of 8×8: 397 to test on (fixed), 1,400 to train and validate."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    images = torch.from_numpy(x).float().div_(16.0).view(-1, 1, 8, 8)
    labels = torch.from_numpy(y).long()
    everything = ArrayExamples(images, labels, torch.arange(len(labels)))
    order = permutation(stream_key(0, "digits/test"), len(labels))
    pool, test = everything.subset(order[397:]), everything.subset(order[:397])
    return lambda seed: Splits(train=pool, test=test)


def mnist(data_dir: Path | None = None) -> Source:
    """MNIST, pixels in [0, 1]: 55,000 to train, the first 5,000 to validate, 10,000 to test."""
    return _image_set("mnist", data_dir)


def fashion_mnist(data_dir: Path | None = None) -> Source:
    """Fashion-MNIST, pixels in [0, 1]: 55,000 to train, the first 5,000 to validate, 10,000 to test."""
    return _image_set("fashion-mnist", data_dir)


@lru_cache(maxsize=2)
def _image_set(name: str, data_dir: Path | None) -> Source:
    x, y = _images(name, "train", 60_000, data_dir)
    test_x, test_y = _images(name, "t10k", 10_000, data_dir)
    ids = torch.arange(60_000)
    train = ArrayExamples(x[5_000:], y[5_000:], ids[5_000:])
    val = ArrayExamples(x[:5_000], y[:5_000], ids[:5_000])
    test = ArrayExamples(test_x, test_y, torch.arange(10_000))
    return lambda seed: Splits(train=train, val=val, test=test)


def _images(name: str, part: str, n: int, data_dir: Path | None) -> tuple[Tensor, Tensor]:
    images = read_idx(find_file(name, f"{part}-images-idx3-ubyte", data_dir), (n, 28, 28))
    labels = read_idx(find_file(name, f"{part}-labels-idx1-ubyte", data_dir), (n,))
    x = torch.from_numpy(images.astype(np.float32)).div_(255.0).view(n, 1, 28, 28)
    return x, torch.from_numpy(labels.astype(np.int64))


def linear(
    data_dir: Path | None = None,
    n_inputs: Count = 200,
    n_train: Count = 20,
    n_val: Count = 100,
    n_test: Count = 100,
    weight: float = 0.01,
    bias: float = 0.05,
    noise: Annotated[float, Ge(0)] = 0.01,
    fresh_test: bool = False,
) -> Source:
    """The high-dimensional line y = Xw + b + ε, X ~ N(0, 1): the seed draws train and val, test is fixed.

    Args:
        fresh_test: the seed draws the test set as well: for questions about the law, not about one test set.
    """

    def part(name: str, seed: int, n: int) -> ArrayExamples:
        x = normal(stream_key(seed, f"line/x/{name}"), n * n_inputs).view(n, n_inputs)
        epsilon = normal(stream_key(seed, f"line/noise/{name}"), n).view(n, 1)
        y = weight * x.sum(1, keepdim=True) + bias + noise * epsilon
        return ArrayExamples(x.float(), y.float(), torch.arange(n))

    return lambda seed: Splits(
        train=part("train", seed, n_train),
        val=part("val", seed, n_val),
        test=part("test", seed if fresh_test else 0, n_test),
        task="regression",
    )


SOURCES: dict[str, Callable[..., Source]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "linear": linear,
}
