"""Penalties of several lanes as one penalty with a strength per lane."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TypeAlias

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
    Orthogonal,
    Penalty,
    parts_of,
    sum_of,
)

Signature: TypeAlias = tuple[object, ...]

_KNOWN = (L1, L2, ElasticNet, GroupLasso, Norm, Orthogonal, L2SP, MaxNorm)
_OWN = {"strength", "limit", "reference"}


def obstacle(penalty: Penalty) -> str:
    """Why a penalty cannot be stacked; "" where it can."""
    for part in parts_of(penalty):
        name = type(part).__name__
        if type(part) not in _KNOWN:
            return f"{name} has no form that keeps lanes apart"
        strength = getattr(part, "strength", None)
        if not isinstance(strength, float):
            return f"the strength of {name} is {strength}, not one number"
        if isinstance(part, L2SP) and part.reference is not None:
            return "L2SP has a reference of its own"
    return ""


def strengths(penalty: Penalty) -> list[float]:
    """The strength of each part."""
    return [float(getattr(part, "strength", 0.0)) for part in parts_of(penalty)]


def idle(penalty: Penalty) -> bool:
    """Whether nothing of it acts: every strength is 0, and nothing constrains."""
    return all(
        s == 0.0 and not isinstance(p, MaxNorm)
        for s, p in zip(strengths(penalty), parts_of(penalty), strict=True)
    )


def signature(penalty: Penalty) -> Signature:
    """What penalties that may be stacked have in common: all but strength and reference."""
    return tuple(
        (type(p).__name__, *(getattr(p, f.name) for f in fields(p) if f.name not in _OWN))  # type: ignore[arg-type]  # all penalties are dataclasses
        for p in parts_of(penalty)
    )


def stacked(like: Penalty, numbers: Sequence[Sequence[float] | None], start: Tensor) -> Penalty:
    """One penalty for several lanes.

    Args:
        like: any of them; all have its signature.
        numbers: each lane's strengths, one a part; None where a lane is not penalised: 0, or no limit.
        start: the weights [l, *shape] as they are at the start, for L2SP.
    """
    made: list[Penalty] = []
    for place, part in enumerate(parts_of(like)):
        none = torch.finfo(start.dtype).max if isinstance(part, MaxNorm) else 0.0
        values = [none if lane is None else lane[place] for lane in numbers]
        strength = torch.tensor(values, dtype=start.dtype, device=start.device)
        if isinstance(part, L2SP):
            part = replace(part, reference=start.detach().clone())
        made.append(part.with_strength(strength))  # type: ignore[attr-defined]  # all that are known have it
    return sum_of(made)


def scaled(penalty: Penalty, factor: Tensor) -> Penalty:
    """The penalty times one number a lane, (l,); a limit stays."""
    made: list[Penalty] = [
        p if isinstance(p, MaxNorm) else p.with_strength(p.strength * factor)  # type: ignore[attr-defined]  # all that are known have it
        for p in parts_of(penalty)
    ]
    return sum_of(made)


def chosen(penalty: Penalty, index: Tensor) -> Penalty:
    """The penalty of these lanes."""
    made: list[Penalty] = []
    for part in parts_of(penalty):
        found: Penalty = part.with_strength(part.strength[index])  # type: ignore[attr-defined]  # all that are known have it
        if isinstance(found, L2SP) and isinstance(found.reference, Tensor):
            found = replace(found, reference=found.reference[index])
        made.append(found)
    return sum_of(made)
