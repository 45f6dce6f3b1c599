"""The state of a training run, taken and set back bit for bit, in the same tensors."""

import copy
import functools
import inspect
import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ridgeline.regularizer._sharded import at_rest


class Snapshot:
    """Weights, gradients, buffers, training flags, optimizers' state, the state of others, random states.

    Args:
        modules: whose parameters and buffers are kept.
        optimizers: whose state and settings are kept.
        others: whatever has state_dict() and load_state_dict() (schedulers, scalers), and generators.
    """

    def __init__(
        self, modules: Iterable[nn.Module], optimizers: Iterable[Optimizer], others: Iterable[Any]
    ) -> None:
        self._modules, self._optimizers = list(modules), list(optimizers)
        self._rest()
        self._flags = [(m, m.training) for module in self._modules for m in module.modules()]
        self._buffers = [(m, dict(m._buffers)) for m, _ in self._flags]
        states = [state for o in self._optimizers for state in o.state.values()]
        self._states = [
            (o, dict(o.state), {p: dict(s) for p, s in o.state.items()}) for o in self._optimizers
        ]
        self._groups = [(g, dict(g)) for o in self._optimizers for g in o.param_groups]
        parameters = {id(p): p for module in self._modules for p in module.parameters()}
        parameters |= {id(p): p for g, _ in self._groups for p in g["params"]}
        self._grads = [(p, p.grad) for p in parameters.values()]
        kept = [*parameters.values(), *(g for _, g in self._grads if g is not None)]
        kept += [b for _, found in self._buffers for b in found.values() if b is not None]
        kept += [t for values in [*states, *(g for g, _ in self._groups)] for t in _tensors(values.values())]
        self._contents = [(t, t.detach().clone()) for t in {id(t): t for t in kept}.values()]
        others = list(others)
        self._generators = [(g, g.get_state()) for g in others if isinstance(g, torch.Generator)]
        self._others = [(o, copy.deepcopy(o.state_dict())) for o in others if stateful(o)]
        self._random = random_state()

    @torch.no_grad()
    def restore(self) -> None:
        """Set everything back."""
        self._rest()
        for o, state in self._others:
            o.load_state_dict(copy.deepcopy(state))
        for generator, drawn in self._generators:
            generator.set_state(drawn)
        for module, flag in self._flags:
            module.training = flag
        for module, buffers in self._buffers:
            module._buffers.update(buffers)
        for group, settings in self._groups:
            group.clear()
            group.update(settings)
        for optimizer, state, values in self._states:
            optimizer.state.clear()
            optimizer.state.update(state)
            for p, found in values.items():
                optimizer.state[p].clear()
                optimizer.state[p].update(found)
        for p, grad in self._grads:
            p.grad = grad
        for tensor, content in self._contents:
            tensor.copy_(content)
        set_random_state(self._random)

    def _rest(self) -> None:
        for module in self._modules:  # what fully_shard gathered for a pass would outlive the shards
            at_rest(module)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [v for v in values if isinstance(v, Tensor)]


def random_state() -> dict[str, Any]:
    """The states of the random generators that training draws from."""
    devices = (
        torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []
    )
    return {
        "torch": torch.get_rng_state(),
        "cuda": devices,
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set them back."""
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(state["numpy"])
    random.setstate(state["python"])


def used_by(function: Callable[..., Any]) -> list[Any]:
    """The objects that a function reaches: by its variables, bound arguments and instance, by the functions
    that it calls, and inside containers and plain objects.
    """
    found: dict[int, Any] = {}
    waiting: list[tuple[Any, int]] = [(function, 4)]
    while waiting:
        value, depth = waiting.pop()
        if id(value) in found or isinstance(value, (ModuleType, type, str, bytes, int, float, Tensor)):
            continue
        found[id(value)] = value
        if depth and not isinstance(value, (nn.Module, Optimizer)):
            waiting += [(inner, depth - 1) for inner in _inside(value)]
    return list(found.values())


def _inside(value: Any) -> list[Any]:
    if isinstance(value, functools.partial):
        return [value.func, *value.args, *value.keywords.values()]
    if isinstance(value, (list, tuple, set, deque)):
        return list(value) if len(value) <= 1_000 else []
    if isinstance(value, Mapping):
        return list(value.values()) if len(value) <= 1_000 else []
    owner = getattr(value, "__self__", None)
    plain = inspect.unwrap(getattr(value, "__func__", value)) if callable(value) else value
    if inspect.isfunction(plain):
        if plain.__module__.partition(".")[0] in ("torch", "numpy", "ridgeline"):
            return [owner]
        variables = inspect.getclosurevars(plain)
        return [owner, *variables.nonlocals.values(), *variables.globals.values()]
    return [owner, *getattr(value, "__dict__", {}).values()]


def stateful(value: object) -> bool:
    """Whether it can be saved and loaded: a scheduler, a scaler, a sampler."""
    names = ("state_dict", "load_state_dict")
    return not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in names)
