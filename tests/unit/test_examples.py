"""Examples from whatever a person's factory returns: arrays, lists, torch Datasets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from ridgeline.data import Data, Source, Splits, draw
from ridgeline.errors import RidgelineError

X = torch.arange(40.0).view(20, 2)
Y = torch.arange(20) % 2


def constant(splits: Splits) -> Source:
    return lambda seed: splits


def drawn(train: Any, task: Any = "classification", **options: Any) -> Data:
    return draw(constant(Splits(train=train, task=task)), 3, **options)


def everything(data: Data) -> tuple[Tensor, Tensor]:
    """All inputs and targets in the order of their ids."""
    parts = [(s.ids, *s.batch(torch.arange(len(s)))) for s in (data.train, data.val)]
    order = torch.cat([p[0] for p in parts]).argsort()
    return torch.cat([p[1] for p in parts])[order], torch.cat([p[2] for p in parts])[order]


class Items(Dataset[Any]):
    """A map-style dataset over a list."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Labelled(Items):
    """As torchvision's: all labels at hand, so that nothing is read to stratify."""

    targets = Y.tolist()
    reads = 0

    def __getitem__(self, index: int) -> Any:
        self.reads += 1
        return super().__getitem__(index)


PAIRS = [(x.numpy().astype(np.float64), int(y)) for x, y in zip(X, Y, strict=True)]
READ_ONLY = X.double().numpy().copy()
READ_ONLY.setflags(write=False)


@pytest.mark.parametrize(
    "train",
    [
        (X, Y),
        (X.double(), Y.int()),
        (X.numpy(), Y.double().numpy()),
        (X.tolist(), Y.tolist()),
        (READ_ONLY, Y[:, None]),
        (X.numpy()[::-1][::-1], Y.numpy()),
        (X.flip(0).numpy()[::-1], Y.numpy()),
        TensorDataset(X, Y),
        Items(PAIRS),
        Labelled(PAIRS),
        Subset(TensorDataset(torch.cat((X, X)), torch.cat((Y, Y))), range(20)),
    ],
)
def test_every_form_gives_the_same_examples(train: Any) -> None:
    data = drawn(train)
    x, y = everything(data)
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
    assert torch.equal(x, X)
    assert torch.equal(y, Y)
    reference = drawn((X, Y))
    assert torch.equal(data.train.ids, reference.train.ids)
    assert torch.equal(data.val.ids, reference.val.ids)
    assert (data.input_shape, data.n_outputs) == ((2,), 2)


@pytest.mark.parametrize(
    "y", [torch.arange(20.0), torch.arange(20), np.arange(20.0), torch.arange(40.0).view(20, 2)]
)
def test_regression_targets_are_columns(y: Any) -> None:
    expected = torch.as_tensor(y).float().view(20, -1)
    for train in ((X, y), Items(list(zip(X, y, strict=True)))):
        data = drawn(train, "regression")
        assert everything(data)[1].dtype == torch.float32
        assert torch.equal(everything(data)[1], expected)
        assert data.n_outputs == expected.shape[1]


def test_python_floats_of_a_dataset_train_in_float32() -> None:
    data = drawn(Items([(x, 0.5) for x in X]), "regression")
    assert everything(data)[1].dtype == torch.float32


def test_known_targets_spare_reading_the_dataset() -> None:
    dataset = Labelled(PAIRS)
    drawn(dataset)
    assert dataset.reads == 0


def test_a_datasets_digest_sees_its_content() -> None:
    other = [(x + (i == 0), y) for i, (x, y) in enumerate(PAIRS)]
    digests = []
    for items in (PAIRS, PAIRS, other):
        splits = Splits(train=Items(items), val=Items(items))
        digests.append(draw(constant(splits), 0).digests())
    assert digests[0] == digests[1] != digests[2]


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(PAIRS)


class Sized(Endless):
    def __len__(self) -> int:
        return 20


@pytest.mark.parametrize(
    ("train", "message"),
    [
        (Endless(), "Endless is an iterable-style dataset; a map-style one"),
        (Sized(), "Sized is an iterable-style dataset; a map-style one"),
        (Items([X[0]] * 20), "Tensor items; each item must be a pair"),
        (Items([None] * 20), "NoneType items; each item must be a pair"),
        (Items([{"x": 1}] * 20), "dict items; each item must be a pair"),
        (Items([(1, 2, 3)] * 20), "tuple items; each item must be a pair"),
        (Items([]), "train has no rows"),
        (X, r"train is a Tensor; allowed: a pair \(x, y\)"),
        ((X, Y, Y), "train is a tuple; allowed: a pair"),
        ((X, Y[:-1]), "x has 20 rows and y has 19; they must be equal"),
        ((X[:0], Y[:0]), "train has no rows"),
        ((X, Y - 1), "a class label is -1; labels must be whole numbers 0…k−1"),
        ((X, Y + 0.5), "not whole numbers, .*say task: regression"),
        ((X, torch.full((20,), float("nan"))), "not whole numbers"),
        ((X.masked_fill(X == 4, float("nan")), Y), "x is NaN or infinite in 1 of 20 rows; drop or fill"),
        ((X.masked_fill(X > 35, float("inf")), Y), "x is NaN or infinite in 2 of 20 rows"),
        ((X.double() * 1e300, Y), "x is NaN or infinite in 20 of 20|x is NaN or infinite in 19 of 20"),
        ((X, np.array(["a", "b"] * 10)), "train holds what is no array of numbers.*encode"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "train holds what is no array of numbers"),
        ((torch.tensor(1.0), torch.tensor(1)), "the single number 1.0; arrays of rows"),
    ],
)
def test_what_is_no_set_of_examples_is_refused(train: Any, message: str) -> None:
    with pytest.raises(RidgelineError, match=message):
        drawn(train)


def test_nan_targets_of_a_regression_are_refused() -> None:
    with pytest.raises(RidgelineError, match="y is NaN or infinite in 2 of 20 rows"):
        drawn((X, torch.arange(20.0).masked_fill(torch.arange(20) > 17, float("nan"))), "regression")


def test_streams_refuse_what_needs_memory() -> None:
    with pytest.raises(RidgelineError, match="standardize needs inputs in memory"):
        drawn(TensorDataset(X, Y), standardize=True)
    with pytest.raises(RidgelineError, match="label_noise needs class labels in memory"):
        drawn(TensorDataset(X, Y), label_noise=0.5)
