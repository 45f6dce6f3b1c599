"""Whether a person's module does under vmap what it does alone: outputs, gradients, buffers, and what it remembers."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ridgeline.lanes._pass import Layer, Pass
from ridgeline.lanes._remembered import changed, remembered


def difference(layer: Layer, models: list[nn.Module], x: Tensor) -> str:
    """What differs between two lanes and the two models alone; "" where nothing does."""
    tensors = [{**dict(m.named_parameters()), **dict(m.named_buffers())} for m in models]
    for training in (True, False):
        alone = [copy.deepcopy(m).train(training) for m in models]
        stacks = {
            name: torch.stack([each[name].detach() for each in tensors]).requires_grad_(t.requires_grad)
            for name, t in tensors[0].items()
        }
        buffers, before = [dict(m.named_buffers()) for m in alone], remembered(alone[0])
        with _differentiable():
            found = layer(Pass(stacks, training), x.expand(2, *x.shape))
            expected = torch.stack([m(x) for m in alone])
        key = changed(before, remembered(alone[0]))
        if key:
            return f"its forward pass changes {key}, which is one for all lanes"
        if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-5):
            return "under torch.func.vmap its outputs are others"
        found.square().sum().backward()
        expected.square().sum().backward()
        why = _gradients(stacks, alone) or _buffers(stacks, alone, buffers)
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


def _buffers(stacks: dict[str, Tensor], alone: list[nn.Module], before: list[dict[str, Tensor]]) -> str:
    for lane, model in enumerate(alone):
        for name, t in model.named_buffers():
            if t is not before[lane][name] or not torch.allclose(
                stacks[name][lane].double(), t.double(), rtol=1e-3, atol=1e-5, equal_nan=True
            ):
                return f"its forward pass puts another tensor in the place of the buffer {name}"
    return ""


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
