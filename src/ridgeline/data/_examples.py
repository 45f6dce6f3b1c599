"""Examples: rows of (input, target) with stable ids, in memory or streamed from a Dataset."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, default_collate

from ridgeline.errors import RidgelineError

Task: TypeAlias = Literal["classification", "regression"]
Batch: TypeAlias = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ArrayExamples:
    """Examples in memory: x (n, …) floating, y (n,) int64 or (n, outputs) floating, ids (n,) int64."""

    x: Tensor
    y: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index: Tensor) -> Batch:
        index = index.to(self.x.device)
        return self.x[index], self.y[index]

    def subset(self, index: Tensor) -> Self:
        return replace(self, x=self.x[index], y=self.y[index], ids=self.ids[index])

    def targets(self) -> Tensor:
        return self.y

    def to(self, device: torch.device) -> Self:
        return replace(self, x=self.x.to(device), y=self.y.to(device))

    def digest(self) -> str:
        """SHA-256 over shapes, dtypes and bytes of all inputs and targets, the first 16 hex digits."""
        sha = hashlib.sha256()
        for part in (self.x, self.y):
            array = part.detach().cpu().contiguous().numpy()
            sha.update(f"{array.shape}{array.dtype}".encode())
            sha.update(array.reshape(-1).view(np.uint8).data)
        return sha.hexdigest()[:16]


@dataclass(frozen=True)
class StreamExamples:
    """Examples of a map-style Dataset, fetched batch by batch; `rows` are its indices."""

    dataset: Dataset[Any]
    rows: Tensor
    task: Task

    @property
    def ids(self) -> Tensor:
        return self.rows

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor) -> Batch:
        rows = self.rows[index.cpu()].tolist()
        fetch: Callable[[list[int]], list[Any]] | None = getattr(self.dataset, "__getitems__", None)
        items = fetch(rows) if fetch is not None else [self.dataset[i] for i in rows]
        try:
            collated = default_collate(items)
        except TypeError:  # what cannot be stacked is no pair of tensors
            collated = None
        if not isinstance(collated, (list, tuple)) or len(collated) != 2:
            raise RidgelineError(
                f"the dataset {type(self.dataset).__name__} yields {type(items[0]).__name__} items; "
                f"each item must be a pair (input, target)."
            )
        x, y = (_narrow(torch.as_tensor(part)) for part in collated)
        return x, target_tensor(y, self.task)

    def subset(self, index: Tensor) -> Self:
        return replace(self, rows=self.rows[index])

    def targets(self) -> Tensor:
        """All targets; reads the whole dataset unless it has `.targets`, as torchvision's do."""
        known = getattr(self.dataset, "targets", None)
        if known is not None:
            return target_tensor(torch.as_tensor(known)[self.rows], self.task)
        parts = [self.batch(torch.arange(i, min(i + 256, len(self))))[1] for i in range(0, len(self), 256)]
        return torch.cat(parts)

    def to(self, device: torch.device) -> Self:
        return self

    def digest(self) -> str:
        """SHA-256 over the rows and 16 evenly spaced examples: a stream is not read whole for its hash."""
        sha = hashlib.sha256(self.rows.numpy().tobytes())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            x, y = self.batch(torch.linspace(0, len(self) - 1, 16).long().unique())
        sha.update(x.numpy().tobytes() + y.numpy().tobytes())
        return sha.hexdigest()[:16]


# A sized collection of examples; `ids` names each row of its source, so that runs can be paired.
Examples: TypeAlias = ArrayExamples | StreamExamples


def target_tensor(y: Any, task: Task) -> Tensor:
    """Targets as the losses want them: int64 (n,) for classes, floating (n, outputs) for regression.

    Raises:
        RidgelineError: for class labels that are not whole numbers, and for NaN targets.
    """
    tensor = torch.as_tensor(y)
    if task == "regression":
        if not tensor.is_floating_point():
            tensor = tensor.float()
        return tensor.unsqueeze(1) if tensor.ndim == 1 else tensor
    if tensor.is_floating_point() and not bool((tensor == tensor.round()).all()):
        raise RidgelineError(
            "the targets are not whole numbers, so they are no class labels; say task: regression."
        )
    return tensor.long().reshape(-1)


def _narrow(part: Tensor) -> Tensor:
    """Numbers of Python and NumPy arrive as float64; models are float32."""
    return part.float() if part.dtype == torch.float64 else part


def _tensor(part: Any, role: str) -> Tensor:
    try:
        tensor = (
            part if isinstance(part, Tensor) else torch.as_tensor(np.require(part, requirements=("C", "W")))
        )
    except (TypeError, ValueError) as error:
        raise RidgelineError(f"{role} holds what is no array of numbers ({error}); encode it.") from None
    if tensor.ndim == 0:
        raise RidgelineError(f"{role} holds the single number {tensor.item()}; arrays of rows are needed.")
    return tensor


def as_examples(source: Any, task: Task, role: str) -> Examples:
    """Examples from a pair (x, y) of tensors or arrays, or a map-style Dataset.

    Raises:
        RidgelineError: for another type, unequal lengths, no rows, or non-finite inputs.
    """
    if isinstance(source, (ArrayExamples, StreamExamples)):
        return source
    if isinstance(source, Dataset):
        if isinstance(source, IterableDataset) or not hasattr(source, "__len__"):
            raise RidgelineError(
                f"{role}: {type(source).__name__} is an iterable-style dataset; a map-style one, with "
                f"__len__ and __getitem__, is needed."
            )
        if len(source) == 0:
            raise RidgelineError(f"{role} has no rows; at least one example is needed.")
        return StreamExamples(source, torch.arange(len(source)), task)
    if not (isinstance(source, tuple) and len(source) == 2):
        raise RidgelineError(
            f"{role} is a {type(source).__name__}; allowed: a pair (x, y) of tensors or arrays, or a "
            f"map-style torch.utils.data.Dataset."
        )
    x, y = (_narrow(_tensor(part, role)) for part in source)
    y = target_tensor(y, task)
    if len(x) != len(y):
        raise RidgelineError(f"{role}: x has {len(x)} rows and y has {len(y)}; they must be equal.")
    if len(y) == 0:
        raise RidgelineError(f"{role} has no rows; at least one example is needed.")
    for part, name in ((x, "x"), (y, "y")):
        if part.is_floating_point() and not bool(torch.isfinite(part).all()):
            bad = int((~torch.isfinite(part)).reshape(len(part), -1).any(1).sum())
            raise RidgelineError(
                f"{role}: {name} is NaN or infinite in {bad} of {len(part)} rows; drop or fill these rows."
            )
    return ArrayExamples(x, y, torch.arange(len(y)))
