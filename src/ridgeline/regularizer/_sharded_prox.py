"""Proximal operators of sharded tensors: on the shards where they suffice, else on a layout where they do."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

from ridgeline.penalties import GroupLasso, MaxNorm, Penalty, parts_of
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._kernels import Factor
from ridgeline.regularizer._prox_kernels import apply_prox
from ridgeline.regularizer._sharded import is_sharded, local, split_dims
from ridgeline.regularizer._stand_in import ELEMENTWISE, on_shard

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor, Placement


def prox_of_whole(
    penalty: Penalty,
    w: Tensor,
    step: Factor | Callable[..., Tensor],
    state: tuple[Tensor, ...] = (),
    compiled: Compiled | None = None,
) -> None:
    """w ← prox(w), in place, as `apply_prox`; of a sharded tensor, as if it were whole. Called without grad mode.

    Where groups lie across shards, the tensor and the state are dealt out anew along the groups (an
    all-to-all there and one back), or gathered where no dimension would do.
    """
    if not is_sharded(w):
        apply_prox(penalty, w, step, state, compiled)
        return
    layout = _layout(penalty, w)
    moved = [
        t if layout is None or not is_sharded(t) else t.redistribute(placements=layout) for t in (w, *state)
    ]
    first = moved[0]
    apply_prox(on_shard(penalty, first), local(first), step, tuple(map(local, moved[1:])), compiled)
    if layout is not None:
        assert is_sharded(first)
        local(w).copy_(local(first.redistribute(placements=w.placements)))


def _layout(penalty: Penalty, w: "DTensor") -> "list[Placement] | None":
    """Placements of w on whose shards the operator acts by itself; None where it does as w is."""
    from torch.distributed.tensor import Replicate, Shard

    split = split_dims(w)
    parts = [part for part in parts_of(penalty) if type(part) not in ELEMENTWISE]
    along = {part.dim % w.ndim for part in parts if isinstance(part, (GroupLasso, MaxNorm))}
    grouped = all(type(part) in (GroupLasso, MaxNorm) for part in parts)
    suffices = grouped and len(along) <= 1 and set(split.values()) <= along
    if suffices or not parts or not split:
        return None
    layout = list(w.placements)
    for k in split:
        layout[k] = Shard(along.copy().pop()) if grouped and len(along) == len(split) == 1 else Replicate()
    return layout
