"""The state of a training run, taken and set back bit for bit, in the same tensors."""

import copy
import random
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from ridgeline.regularizer._bindings import attributes_of, copies_in, holds_copies, numbers_of, variables_of
from ridgeline.regularizer._reach import CONTAINERS, MANY, from_others, refill, stateful, tensors_in
from ridgeline.regularizer._sharded import at_rest


class Snapshot:
    """Weights, gradients, buffers, training flags, optimizers' state, the state of others, random states.

    Args:
        modules: whose layers, parameters, buffers and numbers are kept.
        optimizers: whose state and settings are kept.
        others: of these, what has state_dict() and load_state_dict() (schedulers, scalers); generators; the
            variables of functions; and containers and objects with copies of weights in them, as of averages.
    """

    def __init__(
        self, modules: Iterable[nn.Module], optimizers: Iterable[Optimizer], others: Iterable[Any]
    ) -> None:
        self._modules, optimizers, others = list(modules), list(optimizers), list(others)
        self._rest()
        layers = list({id(m): m for module in self._modules for m in module.modules()}.values())
        self._flags = [(m, m.training) for m in layers]
        groups = [group for o in optimizers for group in o.param_groups]
        leaves = {id(p): p for p in chain(*(m.parameters() for m in self._modules))}
        leaves |= {id(p): p for group in groups for p in group["params"]}
        self._leaves = [(p, p.grad, p.requires_grad) for p in leaves.values()]
        buffers = [b for m in layers for b in m._buffers.values() if b is not None]
        inner: list[Any] = [x for o in optimizers for x in (o.state, o.param_groups)]
        inner += [x for m in layers for x in (m._modules, m._parameters, m._buffers)]
        shapes = {t.shape for t in (*leaves.values(), *buffers)}
        holders = [o for o in others if holds_copies(o, shapes)]
        self._bindings = [numbers_of(m) for m in layers if not from_others(type(m))]
        self._bindings += [attributes_of(held) for held in holders]
        self._bindings += [found for o in others for found in variables_of(o)]
        bound = [x for _, values in self._bindings for x in values.values()]
        for scaler in (o for o in others if isinstance(o, torch.amp.GradScaler)):
            stages = scaler._per_optimizer_states  # which its state_dict leaves out
            inner.append(stages)
            self._bindings.append((vars(scaler).update, {"_per_optimizer_states": stages}))
        own = _containers(inner)
        found = [*own, *_containers([*bound, *holders], MANY)]
        self._containers = [(held, copy.copy(held)) for held in found]
        kept = [*leaves.values(), *(g for _, g, _ in self._leaves if g is not None), *buffers]
        kept += [t for held in own for t in tensors_in(held, depth=1)]
        kept += [t for held in [*holders, bound] for t in copies_in(held, shapes)]
        self._contents = [(t, t.detach().clone()) for t in {id(t): t for t in kept}.values()]
        self._generators = [(g, g.get_state()) for g in others if isinstance(g, torch.Generator)]
        self._others = [(o, copy.deepcopy(o.state_dict())) for o in others if _saved(o)]
        self._random = random_state()

    @torch.no_grad()
    def restore(self) -> None:
        """Set everything back."""
        self._rest()
        for o, state in self._others:
            o.load_state_dict(copy.deepcopy(state))
        for generator, drawn in self._generators:
            generator.set_state(drawn)
        for bind, values in self._bindings:
            bind(values)
        for held, kept in self._containers:
            refill(held, kept)
        for module, flag in self._flags:
            module.training = flag
        for p, grad, moves in self._leaves:
            p.grad = grad
            if p.requires_grad != moves:
                p.requires_grad_(moves)
        for tensor, content in self._contents:
            tensor.copy_(content)
        set_random_state(self._random)

    def _rest(self) -> None:
        for module in self._modules:  # what fully_shard gathered for a pass would outlive the shards
            at_rest(module)


def _containers(roots: Iterable[Any], most: float = float("inf")) -> list[Any]:
    """Containers of at most so many elements that can be refilled, and those inside them."""
    found: dict[int, Any] = {}
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        known = type(value) in CONTAINERS or isinstance(value, tuple)
        if known and id(value) not in found and len(value) <= most:
            found[id(value)] = value
            waiting += value.values() if isinstance(value, dict) else value
    return [held for held in found.values() if not isinstance(held, tuple)]


def _saved(value: Any) -> bool:
    return stateful(value) and not isinstance(value, (nn.Module, Optimizer))


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
