"""Gradients of the data loss alone, averaged over processes as training averages them; `.grad` stays as it is."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ridgeline.regularizer._acting import nodes_of
from ridgeline.regularizer._sharded import under_fsdp


def check_loss(loss: Tensor) -> None:
    """Refuse what is not the data loss alone, with its graph.

    Raises:
        ValueError: saying what to pass.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ValueError(
            "reg.effect() takes the data loss of one batch, a tensor of one number; pass it before backward()."
        )
    if not loss.requires_grad:
        raise ValueError(
            "reg.effect() needs the graph of the data loss: compute it without no_grad(), and do not detach it."
        )
    if any(node.name() == "_PenaltyBackward" for node in nodes_of(loss)):
        raise ValueError(
            "reg.effect() takes the data loss alone, and this one contains reg.penalty(): pass "
            "criterion(model(x), y)."
        )


def data_gradients(loss: Tensor, leaves: Sequence[Tensor], model: nn.Module) -> dict[int, Tensor]:
    """∇ loss by id of the leaf, those that it does not reach left out; the graph is kept.

    Of a model under fully_shard, a backward pass is run, since its graph knows gathered parameters only.
    """
    if any(under_fsdp(module) for module in model.modules()):
        check_between_steps(model, "reg.effect()")
        return _by_backward(loss, leaves, model)
    grads = _grads(loss, leaves)
    found = {id(p): g for p, g in zip(leaves, grads, strict=True) if g is not None}
    if isinstance(model, DistributedDataParallel) and leaves:  # whose hooks autograd.grad passes by
        return _averaged(found, leaves, model)
    return found


def _grads(loss: Tensor, leaves: Sequence[Tensor]) -> Sequence[Tensor | None]:
    try:
        return torch.autograd.grad(loss, leaves, retain_graph=True, allow_unused=True) if leaves else ()
    except RuntimeError as error:
        if "backward through the graph a second time" not in str(error):
            raise
        raise ValueError(
            "reg.effect() needs the graph of the data loss, and a backward pass has freed it: ask before backward(), "
            "or compute the loss again."
        ) from error


def _averaged(
    found: dict[int, Tensor], leaves: Sequence[Tensor], model: DistributedDataParallel
) -> dict[int, Tensor]:
    """As DistributedDataParallel does: where the loss of another process reaches a leaf, ours counts as 0."""
    group, totals = model.process_group, {}
    reached = torch.tensor([id(p) in found for p in leaves], dtype=torch.int32, device=leaves[0].device)
    torch.distributed.all_reduce(reached, torch.distributed.ReduceOp.MAX, group)
    for p, anywhere in zip(leaves, reached.tolist(), strict=True):
        if anywhere:
            total = found[id(p)].detach().clone() if id(p) in found else torch.zeros_like(p)
            torch.distributed.all_reduce(total, group=group)
            totals[id(p)] = total.div_(group.size())
    return totals


def check_between_steps(model: nn.Module, who: str) -> None:
    """Refuse within an accumulation under fully_shard, whose gradients another pass would join or take away.

    Raises:
        ValueError: naming `who`.
    """
    for module in model.modules():
        state_of = getattr(module, "_get_fsdp_state", None)  # fully_shard's, on the modules that it was given
        group = None if state_of is None else state_of()._fsdp_param_group
        if group is not None and (not group.reduce_grads or any(map(_waits, group.fsdp_params))):
            raise ValueError(
                f"{who} under fully_shard runs a backward pass, which would mix with the gradients that "
                f"set_requires_gradient_sync(False) accumulates; call it between two steps, where that is True."
            )


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


def _waits(held: Any) -> bool:
    """Whether a gradient of the gathered parameter is yet to be averaged over processes."""
    gathered = getattr(held, "_unsharded_param", None)
    return held.unsharded_accumulated_grad is not None or (gathered is not None and gathered.grad is not None)
