"""Sharded parameters: what DTensor and fully_shard (FSDP2) change about reading and writing a tensor.

Neither is ever imported unasked: a tensor can be sharded only where a person's own code imported them.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor


_PLAIN = (Tensor, nn.Parameter)  # a parameter of shards has the type DTensor


def is_sharded(w: Tensor) -> "TypeGuard[DTensor]":
    """Whether the tensor is a DTensor, of which this process holds a shard."""
    if type(w) in _PLAIN:
        return False
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(w, module.DTensor)


def local(w: Tensor) -> Tensor:
    """The shard that this process holds, to be written in place; of a plain tensor, itself.

    Not to_local(), which gives a parameter's shard as another view each time: passes keep sums by tensor.
    """
    return w._local_tensor if is_sharded(w) else w


def like(shard: Tensor, w: Tensor) -> Tensor:
    """A tensor sharded as w is, of the shard that this process holds."""
    if not is_sharded(w):
        return shard
    return type(w).from_local(
        shard, w.device_mesh, w.placements, run_check=False, shape=w.shape, stride=w.stride()
    )


def split_dims(w: "DTensor") -> dict[int, int]:
    """The dimensions of the mesh that split the tensor, each with the dimension of the tensor that it splits."""
    placed = enumerate(w.placements)
    return {k: p.dim for k, p in placed if not p.is_replicate() and w.device_mesh.size(k) > 1}  # type: ignore[attr-defined]  # a shard has one


def place_among(w: "DTensor") -> tuple[int, int]:
    """The place of this process's shard among all shards of the tensor, and how many there are."""
    here, place, count = w.device_mesh.get_coordinate(), 0, 1
    for k in split_dims(w):
        size = w.device_mesh.size(k)
        place, count = place * size + (here[k] if here is not None else 0), count * size
    return place, count


def aligned(t: Tensor, w: Tensor) -> Tensor:
    """A tensor of w's shape, sharded as w is; a plain one that every process holds whole is only cut."""
    if not is_sharded(w):
        return t.full_tensor() if is_sharded(t) else t
    from torch.distributed.tensor import Replicate

    if is_sharded(t) and t.device_mesh != w.device_mesh:
        t = t.full_tensor()
    if not is_sharded(t):
        whole = [Replicate()] * w.device_mesh.ndim
        t = type(w).from_local(t.to(local(w).device), w.device_mesh, whole, run_check=False)
    return t if t.placements == w.placements else t.redistribute(placements=w.placements)


def grad_shard(p: Tensor) -> Tensor:
    """The shard of p.grad that lies beside the shard of p, to be written in place."""
    assert p.grad is not None
    if is_sharded(p) and is_sharded(p.grad) and p.grad.placements != p.placements:
        p.grad = p.grad.redistribute(placements=p.placements)  # left as a sum yet to be taken, or whole
    return local(p.grad)


@torch.no_grad()
def summed(parts: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Numbers taken of shards, each summed over all shards of its tensor, equal on every process.

    One all-reduce a mesh, however many tensors; with several split dimensions in a mesh, one each.

    Args:
        parts: numbers of any shape, each with the tensor that they were taken of; of a plain or replicated
            tensor they are returned as they are.
    """
    found = [numbers for numbers, _ in parts]
    meshes: dict[DeviceMesh, dict[int, dict[int, int]]] = {}
    for place, (_, w) in enumerate(parts):
        if is_sharded(w) and (dims := split_dims(w)):
            meshes.setdefault(w.device_mesh, {})[place] = dims
    for mesh, places in meshes.items():
        for place, numbers in zip(places, _reduced(mesh, found, places), strict=True):
            found[place] = numbers.view(found[place].shape).to(found[place].device, found[place].dtype)
    return found


def _reduced(mesh: "DeviceMesh", found: list[Tensor], places: dict[int, dict[int, int]]) -> Sequence[Tensor]:
    device = mesh.device_type  # where its processes talk; offloaded shards lie on the CPU
    line = torch.cat([found[place].detach().reshape(-1).to(device) for place in places])
    pieces: Sequence[Tensor] = line.split([found[place].numel() for place in places])
    here = mesh.get_coordinate()
    for dim in sorted({dim for dims in places.values() for dim in dims}):
        for piece, dims in zip(pieces, places.values(), strict=True):
            if dim not in dims and here is not None and here[dim]:
                piece.zero_()  # replicas along this dimension count once
        if len(line):
            torch.distributed.all_reduce(line, group=mesh.get_group(dim))
    return pieces


def at_rest(model: object) -> None:
    """Let modules under fully_shard hold their shards, as between steps; a backward pass gathers them anew."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    if fsdp is None or not isinstance(model, nn.Module):
        return
    for module in model.modules():
        if isinstance(module, fsdp.FSDPModule):
            module.reshard()


def gathered(parameter: Tensor, found: Tensor, module: nn.Module) -> bool:
    """Whether `found`, which the module holds, is a parameter gathered by fully_shard for a pass.

    Gradients and optimizer know the shards, and so does the penalty.
    """
    if not (is_sharded(parameter) and under_fsdp(module)):
        return False
    return not is_sharded(found) or found.device_mesh != parameter.device_mesh


def under_fsdp(module: nn.Module) -> bool:
    """Whether fully_shard manages the parameters of this module."""
    return bool(getattr(module, "_is_fsdp_managed_module", False))
