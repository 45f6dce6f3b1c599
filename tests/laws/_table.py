"""The table of penalties: each with a factory strength -> penalty and its value written in plain numpy."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ridgeline.penalties import (
    L1,
    L2,
    L2SP,
    ElasticNet,
    GroupLasso,
    MaxNorm,
    Norm,
    Nuclear,
    Orthogonal,
    Penalty,
    Strength,
)

Array: TypeAlias = NDArray[np.float64]


class Member(NamedTuple):
    """One row: what the laws need to know about a penalty."""

    make: Callable[[Strength], Penalty]
    naive: Callable[[Array, float], float]  # (weights, strength) -> value
    smooth: Callable[[Array], Any]  # where R is differentiable: a mask that broadcasts to the weights
    separable: bool = False  # a sum over single weights, without regard to the shape
    convex: bool = True
    zero: bool = True  # R(0) = 0
    tensor_step: bool = True  # the prox takes a step an element


def absolute(w: Array, s: float) -> float:
    return s * float(sum(abs(x) for x in w.reshape(-1).tolist()))


def square(w: Array, s: float) -> float:
    return s / 2 * float(sum(x * x for x in w.reshape(-1).tolist()))


def groups(w: Array, dim: int) -> list[Array]:
    return [w.take(i, axis=dim).reshape(-1) for i in range(w.shape[dim])]


def group(dim: int) -> Callable[[Array, float], float]:
    return lambda w, s: s * sum((len(g) * sum(x * x for x in g.tolist())) ** 0.5 for g in groups(w, dim))


def alive(dim: int) -> Callable[[Array], Any]:
    """Where the group along `dim` is not zero."""
    return lambda w: np.stack(
        [np.full_like(w.take(i, dim), np.any(w.take(i, dim) != 0)) for i in range(w.shape[dim])], axis=dim
    ).astype(bool)


def norm(p: float) -> Callable[[Array, float], float]:
    return lambda w, s: s * sum(abs(x) ** p for x in w.reshape(-1).tolist()) ** (1 / p)


def nuclear(w: Array, s: float) -> float:
    return s * float(np.linalg.svd(w.reshape(len(w), -1), compute_uv=False).sum())


def orthogonal(w: Array, s: float) -> float:
    matrix = w.reshape(len(w), -1)
    matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    return s / 2 * float(((matrix @ matrix.T - np.eye(len(matrix))) ** 2).sum())


def everywhere(w: Array) -> Any:
    return np.ones_like(w, dtype=bool)


def nonzero(w: Array) -> Any:
    return w != 0


def elastic(w: Array, s: float) -> float:
    return absolute(w, 0.3 * s) + square(w, 0.7 * s)


NET_GROUP = "ElasticNet+GroupLasso+L2"

PENALTIES: dict[str, Member] = {
    "L1": Member(L1, absolute, nonzero, separable=True),
    "L1-mean": Member(
        lambda s: L1(s, reduction="mean"), lambda w, s: absolute(w, s) / w.size, nonzero, separable=True
    ),
    "L2": Member(L2, square, everywhere, separable=True),
    "L2-mean": Member(
        lambda s: L2(s, reduction="mean"), lambda w, s: square(w, s) / w.size, everywhere, separable=True
    ),
    "ElasticNet": Member(lambda s: ElasticNet(s, 0.3), elastic, nonzero, separable=True),
    "ElasticNet-mean": Member(
        lambda s: ElasticNet(s, 0.3, reduction="mean"),
        lambda w, s: elastic(w, s) / w.size,
        nonzero,
        separable=True,
    ),
    "L2SP": Member(
        lambda s: L2SP(s, reference=torch.tensor(0.5)),
        lambda w, s: square(w - 0.5, s),
        everywhere,
        separable=True,
        zero=False,
    ),
    "GroupLasso": Member(GroupLasso, group(0), alive(0)),
    "GroupLasso-1": Member(lambda s: GroupLasso(s, dim=1), group(1), alive(1)),
    "GroupLasso-last": Member(lambda s: GroupLasso(s, dim=-1), group(-1), alive(-1)),
    "Norm-1": Member(lambda s: Norm(s, p=1), norm(1), nonzero),
    "Norm-1.5": Member(lambda s: Norm(s, p=1.5), norm(1.5), lambda w: np.any(w != 0)),
    "Norm": Member(Norm, norm(2), lambda w: np.any(w != 0)),
    "Nuclear": Member(Nuclear, nuclear, everywhere, tensor_step=False),
    "Orthogonal": Member(Orthogonal, orthogonal, everywhere, convex=False, zero=False),
    "MaxNorm": Member(MaxNorm, lambda w, s: 0.0, everywhere, tensor_step=False),
    "L1+L2": Member(
        lambda s: L1(s) + L2(s), lambda w, s: absolute(w, s) + square(w, s), nonzero, separable=True
    ),
    "L1+GroupLasso": Member(
        lambda s: L1(s) + GroupLasso(s),
        lambda w, s: absolute(w, s) + group(0)(w, s),
        nonzero,
    ),
    "L2+GroupLasso": Member(
        lambda s: L2(s) + GroupLasso(s, dim=1),
        lambda w, s: square(w, s) + group(1)(w, s),
        alive(1),
    ),
    NET_GROUP: Member(
        lambda s: ElasticNet(s, 0.3) + GroupLasso(s) + L2(s),
        lambda w, s: elastic(w, s) + group(0)(w, s) + square(w, s),
        nonzero,
    ),
    "L2SP+L1+Norm": Member(
        lambda s: L1(s) + Norm(s) + L2SP(s, reference=torch.tensor(0.5)),
        lambda w, s: absolute(w, s) + norm(2)(w, s) + square(w - 0.5, s),
        nonzero,
        zero=False,
    ),
    "L2+MaxNorm": Member(lambda s: L2(s) + MaxNorm(s), square, everywhere, tensor_step=False),
}

LANES = (0.0, 1e-12, 0.3, 1.0, 1e6)

STRENGTHS: dict[str, Strength] = {
    "0": 0.0,
    "tiny": 1e-12,
    "1": 1.0,
    "huge": 1e6,
    "0-d": torch.tensor(0.3),
    "per-lane": torch.tensor(LANES),
}
