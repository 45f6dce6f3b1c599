"""One forward pass with some weights changed, which leaves no trace in the model."""

import copy
import random
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import fields, is_dataclass
from itertools import chain
from types import CellType, FunctionType, ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree as pytree

from ridgeline.errors import RidgelineError, reason
from ridgeline.regularizer._reach import CONTAINERS, refill

# A tensor, by module and attribute, and what it becomes for one pass.
Change: TypeAlias = tuple[nn.Module, str, Callable[[Tensor], Tensor]]


def outputs(model: nn.Module, sample: Any, half: torch.dtype | None, *changes: Change) -> list[Tensor]:
    """The floating-point tensors that the model returns for the sample, with some of its own changed.

    Args:
        half: what bfloat16 and float16 become; None leaves them.
    """

    def copied(t: Tensor) -> Tensor:
        narrow = t.dtype in (torch.bfloat16, torch.float16)
        return t.detach().to(half if half and narrow else t.dtype, copy=True)

    named = dict(chain(model.named_parameters(), model.named_buffers()))
    sample = dict(sample) if isinstance(sample, Mapping) else sample
    devices = {t.device for t in (*named.values(), *pytree.tree_leaves(sample)) if isinstance(t, Tensor)}
    with ExitStack() as stack:
        set_back(stack, model, devices)
        stack.enter_context(torch.no_grad())
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # the model's own passes give them
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        held = {name: copied(t) for name, t in named.items()}
        for module, leaf, change in changes:
            own = dict(module.named_parameters(recurse=False)).get(leaf)
            if own is None:
                _hook(module, leaf, change)
            for name in [name for name, t in named.items() if t is own]:
                held[name] = change(held[name])
        given = pytree.tree_map_only(Tensor, copied, sample)  # a layer may write to its input
        try:
            args, kwargs = ((), given) if isinstance(given, dict) else (given, {})
            args = args if type(args) is tuple else (args,)
            called = {f"model.{name}": t for name, t in held.items()}
            returned = torch.func.functional_call(_InTraining(model), called, args, kwargs)
            return [t.clone() for t in _floating(returned)]
        except Exception as error:
            few = "more than 1 value per channel" in str(error)
            remedy = "BatchNorm needs at least two examples; " if few else ""
            raise RidgelineError(
                f"audit(sample=) runs the model in training mode, and that failed ({reason(error)}); {remedy}"
                f"give a batch as in training: a tensor, a tuple of arguments, or a dict of keyword arguments."
            ) from error


class _InTraining(nn.Module):
    """Sets training mode inside the functional call, for a model's own train() may write to its weights."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        self.model.train()
        return self.model(*args, **kwargs)


def _hook(module: nn.Module, leaf: str, change: Callable[[Tensor], Tensor]) -> None:
    """Change a computed tensor where it is computed; the hook goes when the attributes are set back."""
    if parametrize.is_parametrized(module, leaf):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        module.parametrizations[leaf].register_forward_hook(lambda m, args, w: change(w))
    else:  # the old weight_norm and spectral_norm compute it in a hook before this one
        module.register_forward_pre_hook(lambda m, args: setattr(m, leaf, change(getattr(m, leaf))))


def _floating(returned: Any, depth: int = 4) -> Iterator[Tensor]:
    """The floating-point tensors in nested containers, dataclasses, and plain objects."""
    for leaf in pytree.tree_leaves(returned):
        if isinstance(leaf, Tensor):
            if leaf.is_floating_point() or leaf.is_complex():
                yield leaf
        elif depth and not isinstance(leaf, (type, nn.Module)):
            inner = list(leaf.values()) if isinstance(leaf, Mapping) else getattr(leaf, "__dict__", [])
            if is_dataclass(leaf):  # one with slots has no __dict__
                inner = [getattr(leaf, field.name) for field in fields(leaf)]
            yield from _floating(inner, depth - 1)


def set_back(stack: ExitStack, model: nn.Module, devices: set[torch.device]) -> None:
    """Let the stack set back attributes of modules, what hooks hold in memory, and random states."""
    for kind in {d.type for d in devices} - {"cpu", "meta"} or {"cuda"}:
        places = sorted(d.index or 0 for d in devices if d.type == kind)
        stack.enter_context(torch.random.fork_rng(places, device_type=kind))
    stack.callback(random.setstate, random.getstate())
    stack.callback(np.random.set_state, np.random.get_state())
    for module in model.modules():  # a scripted one keeps its mode outside its attributes
        stack.callback(setattr, module, "training", module.training)
    for thing in _reached(model):
        held: Any = thing if type(thing) in CONTAINERS else getattr(thing, "__dict__", None)
        if isinstance(thing, CellType):
            stack.callback(setattr, thing, "cell_contents", thing.cell_contents)
        if type(held) not in CONTAINERS or isinstance(thing, ModuleType):  # a class has a proxy instead
            continue
        stack.callback(refill, held, copy.copy(held))
        for key, value in list(held.items()) if isinstance(held, dict) else []:
            if type(value) in CONTAINERS:
                stack.callback(refill, value, copy.copy(value))
            elif isinstance(value, Tensor):
                held[key] = value.detach().clone()
            elif isinstance(value, torch.Generator):
                held[key] = value.clone_state()


def _reached(model: nn.Module) -> Iterator[Any]:
    """What a pass may write to besides parameters and buffers: the modules, and what their hooks hold."""
    for module in model.modules():
        yield module
        for hook in chain(module._forward_pre_hooks.values(), module._forward_hooks.values()):
            yield from (hook, getattr(hook, "__self__", None), *getattr(hook, "args", ()))
            plain = getattr(hook, "func", hook)  # of a partial
            function = getattr(plain, "__func__", plain)
            if isinstance(function, FunctionType):
                filled = [cell for cell in function.__closure__ or () if cell != CellType()]
                yield from (*filled, *(cell.cell_contents for cell in filled))
                used = [function.__globals__.get(name) for name in function.__code__.co_names]
                yield from (value for value in used if type(value) in CONTAINERS)
