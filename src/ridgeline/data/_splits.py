"""Splits: the sets of one trial, and how a seed draws them from a source."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ridgeline.data._examples import ArrayExamples, Examples, Task, as_examples
from ridgeline.errors import RidgelineError
from ridgeline.noise import permutation, stream_key, uniform


@dataclass(frozen=True)
class Splits:
    """What a data factory returns: the sets a study trains on and judges by.

    Args:
        train: a pair (x, y) of tensors or arrays, or a map-style `torch.utils.data.Dataset`.
        val: the same; None holds out a stratified 20 % of train, drawn by the trial's seed.
        test: the same; None means that nothing is judged on a test set.
        task: "classification" (y: class numbers 0…k−1) or "regression" (y: numbers).

    Example:
        >>> import ridgeline
        >>> splits = ridgeline.Splits(train=(torch.randn(20, 3), torch.randn(20)), task="regression")
    """

    train: Any
    val: Any = None
    test: Any = None
    task: Task = "classification"

    def __post_init__(self) -> None:
        if self.task not in ("classification", "regression"):
            raise RidgelineError(f"Splits: task is {self.task!r}; allowed: 'classification', 'regression'.")


@dataclass(frozen=True)
class Data:
    """The sets of one trial, ready to train on."""

    train: Examples
    val: Examples
    test: Examples | None
    task: Task
    n_outputs: int

    @property
    def sets(self) -> dict[str, Examples]:
        """The sets that exist, by name."""
        named = {"train": self.train, "val": self.val}
        return named if self.test is None else {**named, "test": self.test}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input."""
        return tuple(self.train.batch(torch.tensor([0]))[0].shape[1:])

    def digests(self) -> dict[str, str]:
        """A content hash of each set."""
        return {name: examples.digest() for name, examples in self.sets.items()}


Source: TypeAlias = Callable[[int], Splits]


def draw(
    source: Source,
    seed: int,
    *,
    n_train: int | None = None,
    val_share: float | None = None,
    label_noise: float = 0.0,
    split: str = "seed",
    standardize: bool = False,
) -> Data:
    """The sets of the trial with this seed; a pure function of its arguments.

    Args:
        n_train: how many training examples to take; None takes all.
        val_share: without a validation set, the share of the pool held out; None means 0.2, or, with
            n_train, all that is not used in training.
        label_noise: the share of *training* labels exchanged for another class.
        split: "seed" draws the held-out set and the subset anew for each seed; "fixed" once for all.
        standardize: shift and scale each input column to mean 0, variance 1 on the training examples.
    """
    splits = source(seed)
    train = as_examples(splits.train, splits.task, "train")
    val = None if splits.val is None else as_examples(splits.val, splits.task, "val")
    test = None if splits.test is None else as_examples(splits.test, splits.task, "test")
    drawn_by = seed if split == "seed" else 0
    if n_train is not None and n_train > len(train) - (val is None):
        raise RidgelineError(
            f"data.n_train is {n_train}; the pool holds {len(train)} examples; choose a smaller n_train."
        )
    n_outputs = _count_outputs(splits.task, [s for s in (train, val, test) if s is not None])
    if val is None:
        n_val = _held_out(len(train), n_train, val_share)
        chosen = _stratified(train, n_val, stream_key(drawn_by, "data/val"), splits.task)
        val, train = train.subset(chosen), train.subset(_rest(chosen, len(train)))
    elif val_share is not None:
        raise RidgelineError("data.val_share has no effect: this source has its own validation set.")
    if n_train is not None and n_train > len(train):
        raise RidgelineError(
            f"data.n_train is {n_train}; val_share leaves {len(train)} examples to train on; lower one of them."
        )
    if n_train is not None and n_train < len(train):
        key = stream_key(drawn_by, "data/train")
        train = train.subset(_stratified(train, n_train, key, splits.task))
    if label_noise:
        train = flip_labels(train, label_noise, n_outputs, drawn_by, splits.task)
    data = Data(train, val, test, splits.task, n_outputs)
    return _standardized(data) if standardize else data


def _standardized(data: Data) -> Data:
    train = data.train
    if not isinstance(train, ArrayExamples):
        raise RidgelineError("data.standardize needs inputs in memory; leave it out for a Dataset.")
    x = train.x.float()
    mean, spread = x.mean(0), x.std(0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))

    def scaled(examples: Examples) -> Examples:
        assert isinstance(examples, ArrayExamples)
        return replace(examples, x=(examples.x - mean) / spread)

    test = None if data.test is None else scaled(data.test)
    return replace(data, train=scaled(train), val=scaled(data.val), test=test)


def _held_out(pool: int, n_train: int | None, share: float | None) -> int:
    n_val = (
        pool - n_train
        if n_train is not None and share is None
        else round((0.2 if share is None else share) * pool)
    )
    if not 0 < n_val < pool:
        raise RidgelineError(
            f"data: holding out {n_val} of {pool} examples leaves no set to train or to judge on; "
            f"change val_share or bring more data."
        )
    return n_val


def _stratified(examples: Examples, n: int, key: int, task: Task) -> Tensor:
    """n row numbers, in each class the same share (largest remainders first), in random order."""
    order = permutation(key, len(examples))
    if task == "regression":
        return order[:n]
    labels = examples.targets().cpu()[order]
    counts = torch.bincount(labels).double()
    exact = counts * (n / len(examples))
    take = exact.floor()
    short = n - int(take.sum())
    take[torch.argsort(exact - take, descending=True, stable=True)[:short]] += 1
    rank_in_class = torch.zeros(len(labels), dtype=torch.int64)
    for label in range(len(counts)):
        hits = labels == label
        rank_in_class[hits] = torch.arange(int(hits.sum()))
    return order[rank_in_class < take[labels]]


def _rest(chosen: Tensor, n: int) -> Tensor:
    mask = torch.ones(n, dtype=torch.bool)
    mask[chosen] = False
    return mask.nonzero().flatten()


def _count_outputs(task: Task, sets: list[Examples]) -> int:
    if task == "regression":
        return sets[0].batch(torch.tensor([0]))[1].shape[1]
    labels = torch.cat([s.targets().cpu() for s in sets])
    if int(labels.min()) < 0:
        raise RidgelineError(
            f"a class label is {int(labels.min())}; labels must be whole numbers 0…k−1; re-number them."
        )
    return int(labels.max()) + 1


def flip_labels(examples: Examples, share: float, n_classes: int, seed: int, task: Task) -> ArrayExamples:
    """Exchange round(share·n) labels for a different class each, uniformly, as the seed draws."""
    if task == "regression" or not isinstance(examples, ArrayExamples):
        raise RidgelineError("data.label_noise needs class labels in memory; leave it out here.")
    n = round(share * len(examples))
    hit = permutation(stream_key(seed, "data/noise"), len(examples))[:n]
    shift = 1 + (uniform(stream_key(seed, "data/shift"), n) * (n_classes - 1)).long()
    y = examples.y.clone()
    y[hit] = (y[hit] + shift) % n_classes
    return ArrayExamples(examples.x, y, examples.ids)
