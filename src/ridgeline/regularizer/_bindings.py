"""What is bound where: the attributes and variables besides weights in which a training step keeps something."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.regularizer._reach import (
    CONTAINERS,
    attributes,
    plain_function,
    stateful,
    tensors_in,
    variables,
)

# What sets values back where they are bound, by name, and these.
Binding: TypeAlias = tuple[Callable[[dict[Any, Any]], None], dict[Any, Any]]


def holds_copies(value: Any, shapes: set[torch.Size]) -> bool:
    """Whether a container, or an object with nothing to save and load, has tensors like the model's in it."""
    if (
        isinstance(value, (nn.Module, Optimizer, torch.Generator))
        or stateful(value)
        or inspect.isroutine(value)
    ):
        return False
    return any(True for _ in copies_in(value, shapes))


def copies_in(value: Any, shapes: set[torch.Size]) -> Iterator[Tensor]:
    """Such tensors: leaves, of the shape of a weight; data of other shapes may be large and stays as it is."""
    inside = value if isinstance(value, (*CONTAINERS, tuple)) else list(attributes(value).values())
    for t in tensors_in(inside):
        if t.shape in shapes and t.grad_fn is None and not t.is_inference():
            yield t


def numbers_of(module: nn.Module) -> Binding:
    """A layer's own counters and temperatures."""
    return vars(module).update, {k: v for k, v in vars(module).items() if isinstance(v, (bool, int, float))}


def attributes_of(value: Any) -> Binding:
    """An object's tensors, containers and numbers."""
    kinds = (Tensor, bool, int, float, tuple, type(None), *CONTAINERS)

    def bind(values: dict[str, Any]) -> None:
        for name, found in values.items():
            object.__setattr__(value, name, found)

    return bind, {k: v for k, v in attributes(value).items() if isinstance(v, kinds)}


def variables_of(value: Any) -> list[Binding]:
    """A function's variables, such as a counter or a list of losses."""
    function = plain_function(value)
    if function is None:
        return []
    cells, names = variables(function)

    def fill(values: dict[int, Any]) -> None:
        for place, found in values.items():
            cells[place].cell_contents = found

    contents: dict[Any, Any] = {place: cell.cell_contents for place, cell in enumerate(cells)}
    return [(function.__globals__.update, dict(names)), (fill, contents)]
