"""Penalties whose norms, or whose whole gradient, are known at a shard: what stands in for those across shards."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ridgeline.penalties import GroupLasso, Norm, Penalty, group_dims
from ridgeline.regularizer._sharded import is_sharded, local, place_among


class Plan(NamedTuple):
    """One part of a penalty: the numbers to sum over shards, and what they make: the value and the stand-in."""

    numbers: Tensor
    finish: Callable[[Tensor], tuple[Tensor, Penalty]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNorm(Norm):
    """Groups that lie across shards: their norms, with reduced dimensions kept, and λ√|g|."""

    known: Tensor
    weight: Tensor

    def norm(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return self.known, self.weight


@dataclass(frozen=True, slots=True)
class KnownSlope:
    """A penalty whose gradient at this shard is known."""

    slope: Tensor

    has_prox: ClassVar[bool] = False

    def value(self, w: Tensor) -> Tensor:
        raise NotImplementedError

    def gradient(self, w: Tensor) -> Tensor:
        return self.slope

    def prox(self, w: Tensor, step: float | Tensor) -> Tensor:
        raise NotImplementedError


def norm_across(part: Norm, w: Tensor) -> Plan:
    """Of the whole tensor: the norm of the norms of its shards, each of which has a place to write its own in."""
    assert is_sharded(w)
    own, strength = part.norm(local(w))
    place, count = place_among(w)
    norms = own.new_zeros(count)
    norms[place] = own.reshape(())

    def finish(norms: Tensor) -> tuple[Tensor, Penalty]:
        known = part.norm(norms)[0].reshape([1] * w.ndim)
        return (known * strength).reshape(()), KnownNorm(1.0, part.p, known=known, weight=strength)

    return Plan(norms, finish)


def group_norms_across(part: Penalty, w: Tensor) -> Plan:
    """Of groups that lie across shards, by the sums of their squares."""
    assert isinstance(part, GroupLasso)
    shard = local(w)
    own, _ = part.norms(shard if shard.element_size() >= 4 else shard.float())
    size = math.prod(w.shape[d] for d in group_dims(w, part.dim, lanes=False))

    def finish(squares: Tensor) -> tuple[Tensor, Penalty]:
        known = squares.sqrt()
        weight = torch.as_tensor(
            number(part.strength, w), dtype=known.dtype, device=known.device
        ) * math.sqrt(size)
        return (known * weight).sum(), KnownNorm(1.0, known=known, weight=weight)

    return Plan(own.square(), finish)


def number(strength: object, w: Tensor) -> float | Tensor:
    assert isinstance(strength, (float, Tensor))  # schedules have been read
    return strength.to(w.device) if isinstance(strength, Tensor) else strength
