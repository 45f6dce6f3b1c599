"""The table of penalties: each with a factory strength -> penalty and its value written in plain Python."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ridgeline.penalties import L1, L2, Penalty, Strength


class Member(NamedTuple):
    """One row: what the laws need to know about a penalty."""

    make: Callable[[Strength], Penalty]
    naive: Callable[[Sequence[float], float], float]  # (weights, strength) -> value
    smooth: Callable[[float], bool]  # whether R is differentiable where a weight has this value
    convex: bool = True


def absolute(w: Sequence[float], strength: float) -> float:
    return strength * sum(abs(x) for x in w)


def square(w: Sequence[float], strength: float) -> float:
    return strength / 2 * sum(x * x for x in w)


PENALTIES: dict[str, Member] = {
    "L1": Member(L1, absolute, lambda x: x != 0),
    "L1-mean": Member(
        lambda s: L1(s, reduction="mean"), lambda w, s: absolute(w, s) / len(w), lambda x: x != 0
    ),
    "L2": Member(L2, square, lambda x: True),
    "L2-mean": Member(lambda s: L2(s, reduction="mean"), lambda w, s: square(w, s) / len(w), lambda x: True),
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
