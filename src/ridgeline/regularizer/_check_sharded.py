"""Refusals of sharded models that would else be penalised wrongly."""

from collections.abc import Sequence

from torch import nn

from ridgeline.penalties import lanes_of, parts_of
from ridgeline.regularizer._sharded import is_sharded
from ridgeline.regularizer._term import Term


def check_wrapping(model: object) -> None:
    """Refuse other ways to shard than fully_shard and DTensor.

    Raises:
        ValueError: for FSDP1 and DeepSpeed's ZeRO stage 3, whose parameters are pieces without a shape.
    """
    for module in model.modules() if isinstance(model, nn.Module) else ():
        flat = type(module).__name__ == "FullyShardedDataParallel"
        if flat or any(hasattr(p, "ds_id") for p in module.parameters(recurse=False)):
            raise ValueError(
                f"{'FullyShardedDataParallel (FSDP1)' if flat else 'DeepSpeed ZeRO stage 3'} keeps pieces of flattened "
                f"parameters, whose penalty cannot be told; shard with torch.distributed.fsdp.fully_shard (FSDP2)."
            )


def check_sharded(terms: Sequence[Term]) -> None:
    """Refuse what has no meaning on a shard.

    Raises:
        ValueError: for sharded parameters with one strength a lane, behind a parametrization, or yet to be
            summed.
    """
    for term in terms:
        leaves = [p for p in term.leaves if is_sharded(p)]
        if leaves and term.effective:
            raise ValueError(
                f"{term.name} is parametrized, and the parameters that it is computed from are sharded; name these "
                f"in a Rule, or leave its module out of fully_shard."
            )
        if any(placed.is_partial() for p in leaves for placed in p.placements):
            raise ValueError(
                f"{term.name} is a sum that is yet to be taken (Partial); redistribute it first."
            )
        strengths = [getattr(part, "strength", 0.0) for part in parts_of(term.penalty)]
        if leaves and any(map(lanes_of, strengths)):
            raise ValueError(
                f"{term.name} is sharded, and its strength has one value a lane; give one number."
            )
