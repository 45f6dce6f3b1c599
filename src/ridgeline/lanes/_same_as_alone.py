"""Whether a person's module does under vmap what it does alone: outputs, gradients, buffers, and what it remembers."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ridgeline.lanes._pass import Layer, Pass
from ridgeline.noise import Dropout

# What every module has of its own; the rest is what a person's forward may count or remember in.
_OF_TORCH = frozenset(vars(nn.Module()))
_SIMPLE = (bool, int, float, str, list, tuple, dict, set, type(None))


def difference(layer: Layer, models: list[nn.Module], x: Tensor) -> str:
    """What differs between two lanes and the two models alone; "" where nothing does."""
    tensors = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in models]
    for training in (True, False):
        alone = [copy.deepcopy(m).train(training) for m in models]
        stacks = {
            name: torch.stack([own[name].detach() for own in tensors]).requires_grad_(t.requires_grad)
            for name, t in tensors[0].items()
        }
        before = _remembered(alone[0])
        with _differentiable():
            found = layer(Pass(stacks, training), x.expand(2, *x.shape))
            expected = torch.stack([m(x) for m in alone])
        after = _remembered(alone[0])
        changed = sorted(key for key in after if key not in before or before[key] != after[key])
        if changed:
            return f"its forward pass changes {changed[0]}, which is one for all lanes"
        if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-5):
            return "under torch.func.vmap its outputs are others"
        found.square().sum().backward()
        expected.square().sum().backward()
        why = _gradients(stacks, alone) or _buffers(stacks, alone)
        if why:
            return why
    return ""


def _gradients(stacks: dict[str, Tensor], alone: list[nn.Module]) -> str:
    for name, t in stacks.items():
        for lane, model in enumerate(alone):
            p = dict(model.named_parameters()).get(name)
            if p is None or not p.requires_grad:
                continue
            if p.grad is None or t.grad is None:
                return f"{name} takes no part in the loss"
            least = 1e-4 * float(p.grad.abs().max()) + 1e-7
            if not torch.allclose(t.grad[lane], p.grad, rtol=1e-2, atol=least):
                return f"under torch.func.vmap the gradient of {name} is another"
    return ""


def _buffers(stacks: dict[str, Tensor], alone: list[nn.Module]) -> str:
    for lane, model in enumerate(alone):
        for name, t in model.named_buffers():
            if not torch.allclose(
                stacks[name][lane].double(), t.double(), rtol=1e-3, atol=1e-5, equal_nan=True
            ):
                return f"its forward pass puts another tensor in the place of the buffer {name}"
    return ""


def _remembered(model: nn.Module) -> dict[str, Any]:
    """Plain values that the modules hold, by place; our dropout's own counts are kept for each lane."""
    return {
        f"{path}.{key}" if path else key: copy.deepcopy(value)
        for path, module in model.named_modules()
        if not isinstance(module, Dropout)
        for key, value in vars(module).items()
        if key not in _OF_TORCH and isinstance(value, _SIMPLE) and not _holds_tensors(value)
    }


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple, set)):
        return False
    return any(isinstance(each, Tensor) for each in value)


@contextmanager
def _differentiable() -> Iterator[None]:
    """Transformers in evaluation mode take a short cut that has no derivative; training never meets it."""
    mha: Any = torch.backends.mha
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)
