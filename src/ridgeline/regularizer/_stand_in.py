"""What stands for the penalty of a whole sharded tensor at the shard that a process holds.

- Elementwise penalties, and groups that lie whole on a shard, act on the shard as they are.
- Norms across shards are put together of those of the shards, in one all-reduce with all the values.
- Others (singular values, Gram matrices, a person's own penalties) gather their tensor, one at a time: right, at
  the cost of an all-gather and of the whole tensor in memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from ridgeline.penalties import (
    L1,
    L2,
    L2SP,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    Norm,
    Penalty,
    Sum,
    parts_of,
    sum_of,
)
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer._across import KnownSlope, Plan, group_norms_across, norm_across, number
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._sharded import aligned, is_sharded, local, split_dims, summed

Pairs: TypeAlias = Sequence[tuple[Penalty, Tensor]]
Reach: TypeAlias = Literal["shard", "norms", "whole"]

# Exactly these: a person's own subclass may have formulas of its own.
ELEMENTWISE = (L1, L2, ElasticNet, L2SP)


def values(pairs: Pairs, compiled: Compiled | None = None) -> list[Tensor]:
    """R(w) of each pair, equal on every process, without a graph; one all-reduce a mesh for all."""
    return read(pairs, compiled, slopes=False)[0]


def added(values: Sequence[Tensor]) -> Tensor:
    """The sum of values, on the device of the last of them."""
    found = values[0]
    for value in values[1:]:
        found = found.to(value.device) + value
    return found


def stand_ins(pairs: Pairs) -> list[Penalty]:
    """For each pair, what has the gradient of the whole tensor's penalty at the shard; plain tensors keep theirs."""
    if not any(is_sharded(w) for _, w in pairs):
        return [penalty for penalty, _ in pairs]
    return read(pairs, None, values=False)[1]


@torch.no_grad()
def read(
    pairs: Pairs, compiled: Compiled | None, values: bool = True, slopes: bool = True
) -> tuple[list[Tensor], list[Penalty]]:
    """Values and stand-ins of all pairs; norms across shards are taken once for both."""
    if not any(is_sharded(w) for _, w in pairs):
        return [kernels.value(p, w, compiled) for p, w in pairs], [p for p, _ in pairs]
    plans = [
        [_plan(part, w, compiled, values, slopes) for part in (parts_of(p) if is_sharded(w) else (p,))]
        for p, w in pairs
    ]
    numbers = [(plan.numbers, w) for own, (_, w) in zip(plans, pairs, strict=True) for plan in own]
    totals = iter(summed(numbers))
    found = [[plan.finish(next(totals)) for plan in own] for own in plans]
    sums = [torch.stack([value for value, _ in row]).sum(0) for row in found] if values else []
    return sums, [sum_of([acting for _, acting in row]) for row in found]


def _plan(part: Penalty, w: Tensor, compiled: Compiled | None, values: bool, slopes: bool) -> Plan:
    reach = _reach(part, w)
    if reach == "norms":
        return norm_across(part, w) if isinstance(part, Norm) else group_norms_across(part, w)
    none = local(w).new_empty(0)
    if reach == "whole":
        full = w.full_tensor()  # type: ignore[attr-defined]  # only sharded tensors reach beyond a shard
        if isinstance(part, L2SP) and isinstance(
            part.reference, Tensor
        ):  # a subclass, with a formula of its own
            part = replace(part, reference=aligned(part.reference, full))
        value = kernels.value(part, full) if values else none
        slope = local(aligned(part.gradient(full), w)).clone() if slopes else none
        return Plan(none, lambda _: (value, KnownSlope(slope)))
    acting = on_shard(part, w)
    taken = kernels.value(acting, local(w), compiled) if values else none
    return Plan(taken, lambda total: (total, acting))


def _reach(part: Penalty, w: Tensor) -> Reach:
    """What a part must know of the tensor beyond the shard: nothing, the norms of its groups, or all."""
    split = set(split_dims(w).values()) if is_sharded(w) else set()
    if not split or type(part) in (*ELEMENTWISE, MaxNorm):  # MaxNorm: value and gradient are 0
        return "shard"
    if type(part) is GroupLasso and part.dim % w.ndim in split:
        return "shard" if len(split) == 1 else "whole"
    return "norms" if type(part) in (GroupLasso, Norm) else "whole"


def on_shard(penalty: Penalty, w: Tensor) -> Penalty:
    """The penalty as it acts on the shard alone: means count the whole tensor, references are shards too."""
    if not is_sharded(w):
        return penalty
    if isinstance(penalty, Sum):
        return Sum([on_shard(part, w) for part in penalty.parts])
    if isinstance(penalty, L2SP) and isinstance(penalty.reference, Tensor):
        penalty = replace(penalty, reference=local(aligned(penalty.reference, w)))
    if isinstance(penalty, ELEMENTWISE) and penalty.reduction == "mean":
        strength = number(penalty.strength, local(w)) / max(w.numel(), 1)
        penalty = replace(penalty, strength=strength, reduction="sum")
    return penalty
