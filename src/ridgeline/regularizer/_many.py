"""Values, gradients and proximal steps of many tensors: together where they were compiled, else one by one."""

from collections.abc import Sequence
from typing import Any, TypeAlias, TypeGuard

import torch
from torch import Tensor

from ridgeline.penalties import L1, ElasticNet, Penalty
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._kernels import Factor, coefficient, l1_share, simpler
from ridgeline.regularizer._prox_kernels import ElementStep, scaled
from ridgeline.regularizer._sharded import grad_shard, is_sharded, local
from ridgeline.regularizer._sharded_prox import prox_of_whole
from ridgeline.regularizer._stand_in import Pairs, added, values

# A penalty, its parameter, and the factor of its gradient.
Pull: TypeAlias = tuple[Penalty, Tensor, Factor]
# A penalty, its parameter, the step, and the state that the step is computed from.
Shrinking: TypeAlias = tuple[Penalty, Tensor, Factor | ElementStep, tuple[Tensor, ...]]


def _number(penalty: Penalty, w: Tensor) -> float | None:
    """λ, or λ/n, of an L1 or elastic net with one number for strength on a plain tensor; None for others."""
    if not _signs(penalty) or is_sharded(w):
        return None
    found = coefficient(penalty, w)
    return found if isinstance(found, float) else None


def _signs(penalty: Penalty) -> TypeGuard[L1 | ElasticNet]:
    return type(penalty) in (L1, ElasticNet) and kernels.plain(penalty)


def _rest(items: Sequence[Any], chosen: Sequence[int], left: Sequence[int]) -> list[Any]:
    """What was not chosen, and of the chosen what was left out, by its place among them; in order."""
    reached = set(chosen) - {chosen[k] for k in left}
    return [item for i, item in enumerate(items) if i not in reached]


def _share(penalty: Penalty) -> float:
    assert _signs(penalty)
    return l1_share(penalty)


@torch.no_grad()
def total(pairs: Pairs, compiled: Compiled | None = None) -> Tensor:
    """Σ R(w), shape () or (lanes,), without a graph; equal on every process."""
    pairs = [(simpler(penalty), w) for penalty, w in pairs]
    found: list[Tensor] = []
    rest = list(pairs)
    if compiled is not None:
        numbers = [_number(penalty, w) for penalty, w in pairs]
        chosen = [i for i, c in enumerate(numbers) if c is not None]
        rows = [(pairs[i][1], c, _share(pairs[i][0])) for i, c in enumerate(numbers) if c is not None]
        found, left = compiled.together.values(rows)
        rest = _rest(pairs, chosen, left)
    return added([*found, *(values(rest, compiled) if rest else [])])


@torch.no_grad()
def add_gradients(pulls: Sequence[Pull], compiled: Compiled | None) -> None:
    """g += c ∇R(w) for the gradient g of each parameter."""
    rest = list(pulls)
    if compiled is not None:
        rows, chosen = [], []
        for i, (penalty, p, factor) in enumerate(pulls):
            c = _number(simpler(penalty), p)
            if c is not None and isinstance(factor, float) and p.grad is not None:
                rows.append((p.grad, p, factor * c, _share(simpler(penalty))))
                chosen.append(i)
        rest = _rest(pulls, chosen, compiled.together.slopes(rows))
    for penalty, p, factor in rest:
        kernels.add_gradient(grad_shard(p), penalty, local(p), factor, compiled)


@torch.no_grad()
def shrink(steps: Sequence[Shrinking], compiled: Compiled | None) -> None:
    """w ← prox(w) of each parameter."""
    rest = list(steps)
    if compiled is not None:
        rows, chosen = [], []
        for i, (penalty, p, step, state) in enumerate(steps):
            penalty = simpler(penalty)
            c = _number(penalty, p)
            if not c or not isinstance(step, ElementStep) or not _signs(penalty):
                continue
            if step.eps is not None and isinstance(step.top, float) and scaled(penalty, p, step):
                rows.append((p, state[0], step.eps, c * step.top, l1_share(penalty)))
                chosen.append(i)
        rest = _rest(steps, chosen, compiled.together.shrink(rows))
    for penalty, p, step, state in rest:
        prox_of_whole(penalty, p, step, state, compiled)
