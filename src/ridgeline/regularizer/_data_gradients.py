"""Gradients of the data loss alone, averaged over processes as training averages them; `.grad` stays as it is."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ridgeline.regularizer._sharded import under_fsdp


def data_gradients(loss: Tensor, leaves: Sequence[Tensor], model: nn.Module) -> dict[int, Tensor]:
    """∇ loss by id of the leaf, those that it does not reach left out; the graph is kept.

    Of a model under fully_shard, a backward pass is run, since its graph knows gathered parameters only.
    """
    if any(under_fsdp(module) for module in model.modules()):
        return _by_backward(loss, leaves, model)
    grads = torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) if leaves else ()
    found = {id(p): g for p, g in zip(leaves, grads, strict=True) if g is not None}
    if isinstance(model, DistributedDataParallel):  # whose hooks autograd.grad passes by
        for key, grad in found.items():
            found[key] = _averaged(grad, model)
    return found


def _averaged(grad: Tensor, model: DistributedDataParallel) -> Tensor:
    total = grad.detach().clone()
    torch.distributed.all_reduce(total, group=model.process_group)
    return total.div_(model.process_group.size())


def _by_backward(loss: Tensor, leaves: Sequence[Tensor], model: nn.Module) -> dict[int, Tensor]:
    kept = [(p, p.grad) for p in {id(p): p for p in [*leaves, *model.parameters()]}.values()]
    try:
        for p, _ in kept:
            p.grad = None
        loss.backward(retain_graph=True)
        return {id(p): p.grad for p in leaves if p.grad is not None}
    finally:
        for p, grad in kept:
            p.grad = grad
