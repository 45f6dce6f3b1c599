"""What a function reaches: objects by its variables and the functions that it calls, and what those hold."""

import functools
import inspect
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

CONTAINERS = (
    list,
    dict,
    set,
    deque,
    OrderedDict,
    defaultdict,
)  # of exactly these types, that can be refilled
MANY = 10_000  # elements, above which a container is somebody's data
_LOOKED_INTO = (list, tuple, set, deque, Mapping)
_OTHERS = ("torch", "numpy", "ridgeline")  # packages whose functions are not looked into


def used_by(*roots: Any) -> list[Any]:
    """The objects that functions reach: by their variables, defaults, bound arguments and instance, by the
    functions that they call, and inside containers and plain objects.
    """
    found: dict[int, Any] = {}
    waiting: deque[tuple[Any, int]] = deque((root, 4) for root in roots)
    while waiting:
        value, depth = waiting.popleft()
        if id(value) in found or isinstance(value, (ModuleType, type, str, bytes, int, float, Tensor)):
            continue
        found[id(value)] = value
        if depth and not isinstance(value, (nn.Module, Optimizer)):
            waiting += [(inner, depth - 1) for inner in _inside(value)]
    return list(found.values())


def variables(function: FunctionType) -> tuple[list[CellType], dict[str, Any]]:
    """The filled cells of its closure, and the globals that it uses, functions inside it included.

    The globals of installed packages are their own affair.
    """
    cells = [cell for cell in function.__closure__ or () if cell != CellType()]
    installed = "site-packages" in function.__code__.co_filename or _root(function) in sys.stdlib_module_names
    names = [] if installed else [name for code in _codes(function.__code__) for name in code.co_names]
    return cells, {name: function.__globals__[name] for name in names if name in function.__globals__}


def attributes(value: object) -> dict[str, Any]:
    """What an instance holds, in its __dict__ or in slots."""
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    filled = {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {**filled, **getattr(value, "__dict__", {})}


def tensors_in(value: Any, depth: int = 3) -> Iterator[Tensor]:
    """Tensors in nested containers."""
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, _LOOKED_INTO) and len(value) <= MANY:
        for inner in list(value.values()) if isinstance(value, Mapping) else list(value):
            yield from tensors_in(inner, depth - 1)


def stateful(value: object) -> bool:
    """Whether it can be saved and loaded: a scheduler, a scaler, a sampler."""
    names = ("state_dict", "load_state_dict")
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)


def plain_function(value: Any) -> FunctionType | None:
    """The function behind a method, a decorator or an instance that can be called; None where it is not a person's."""
    if not callable(value) or isinstance(value, (type, nn.Module, Optimizer)):
        return None
    called = value if hasattr(value, "__func__") or inspect.isfunction(value) else type(value).__call__
    plain = inspect.unwrap(getattr(called, "__func__", called))
    return plain if isinstance(plain, FunctionType) and not from_others(plain) else None


def from_others(value: object) -> bool:
    """Whether a function or a class belongs to torch, numpy or this library."""
    return _root(value) in _OTHERS


def refill(held: Any, kept: Any) -> None:
    """Give a container its content back; one that has it still is left alone."""
    now, then = (list(x.items() if isinstance(x, dict) else enumerate(x)) for x in (held, kept))
    if len(now) == len(then) and all(a is b and x is y for (a, x), (b, y) in zip(now, then, strict=True)):
        return
    held.clear()
    (held.update if hasattr(held, "update") else held.extend)(kept)


def _root(value: object) -> str:
    return (getattr(value, "__module__", None) or "").partition(".")[0]


def _inside(value: Any) -> list[Any]:
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, _LOOKED_INTO):
        every = value.values() if isinstance(value, Mapping) else value
        return list(every) if len(value) <= MANY else []
    inner = [getattr(value, "__self__", None)]
    function = plain_function(value)
    if function is not None:
        cells, names = variables(function)
        inner += [*(cell.cell_contents for cell in cells), *names.values()]
        inner += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        owner = getattr(value, "__self__", value)
        inner += _methods(owner, function)
    if not isinstance(value, FunctionType) and not isinstance(value, torch.Generator):
        inner += attributes(value).values()
    return inner


def _methods(owner: object, function: FunctionType) -> list[Callable[..., Any]]:
    """The other methods of its class that a method names."""
    names = [name for code in _codes(function.__code__) for name in code.co_names]
    found = [inspect.getattr_static(type(owner), name, None) for name in names]
    return [method for method in found if isinstance(method, FunctionType)]


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _slots(kind: type) -> list[str]:
    listed = vars(kind).get("__slots__", ())
    return [listed] if isinstance(listed, str) else [name for name in listed if not name.startswith("__")]
