"""What happens around `optimizer.step()`: the modes coupled, decoupled, independent and proximal."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ridgeline.penalties import MaxNorm, Penalty, parts_of
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer import _many as many
from ridgeline.regularizer._compiled import Compiled
from ridgeline.regularizer._kernels import Factor
from ridgeline.regularizer._metric import euclidean, learning_rate, optimizer_step
from ridgeline.regularizer._prox_kernels import ElementStep
from ridgeline.regularizer._sharded import local
from ridgeline.regularizer._sharded_prox import prox_of_whole
from ridgeline.regularizer._split import origin
from ridgeline.regularizer._stand_in import stand_ins
from ridgeline.regularizer._term import Term, has_constraint

Members = list[tuple[Term, dict[str, Any]]]


def members(optimizer: Optimizer, terms: dict[int, Term]) -> Members:
    """Each term with the optimizer's group that holds its parameter, as the groups stand now."""
    return [
        (terms[id(p)], origin(group))
        for group in optimizer.param_groups
        for p in group["params"]
        if id(p) in terms
    ]


def _touched(found: Members) -> Iterator[tuple[Term, dict[str, Any], Tensor]]:
    """Those with a gradient this step: torch's own decay skips the others as well.

    The last one first: the optimizer then begins its update, and the next forward pass its way, with the
    tensors that are still in the cache. That is worth 2 to 4 % of a step.
    """
    for term, group in reversed(found):
        if term.parameter.grad is not None:
            yield term, group, term.parameter


def _acting(found: Members, step: int) -> Iterator[tuple[Penalty, Term, dict[str, Any], Tensor]]:
    """The same, each with what has the penalty's gradient at the shard that this process holds."""
    touched = list(_touched(found))
    acting = stand_ins([(term.at(step), p) for term, _, p in touched])
    for penalty, (term, group, p) in zip(acting, touched, strict=True):
        yield penalty, term, group, p


def _applied(optimizer: Optimizer) -> Factor:
    """1, or 0 where the gradient scaler found an overflow and a fused optimizer will skip the update."""
    found = getattr(optimizer, "found_inf", None)
    return 1.0 if found is None else kernels.fold(1.0 - found)


def skipped(optimizer: Optimizer) -> bool:
    """Whether a fused optimizer was told to leave this update out; waits for the device."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


@torch.no_grad()
def add_coupled(optimizer: Optimizer, found: Members, step: int, compiled: Compiled | None = None) -> None:
    """g ← g + ∇R, times the loss scale where the gradients are still scaled."""
    scale = getattr(optimizer, "grad_scale", None)
    factor: Factor = 1.0 if scale is None else kernels.fold(scale)
    pulls: list[many.Pull] = []
    for penalty, term, group, p in _acting(found, step):
        if p.grad is not None and p.grad.is_sparse:
            raise ValueError(
                f"{term.name} has a sparse gradient, and a penalty on all its rows would make every step dense; use "
                f"sparse=False, or exempt it by Rule({term.name!r}, None)."
            )
        sign = -1.0 if group.get("maximize") else 1.0
        pulls.append((penalty, p, factor * sign))
    many.add_gradients(pulls, compiled)


def add_coupled_effective(optimizer: Optimizer, terms: list[Term], step: int) -> None:
    """The same for parametrized tensors: ∇R reaches the leaves through the parametrization."""
    scale = getattr(optimizer, "grad_scale", None)
    climbing = {id(p) for g in optimizer.param_groups if g.get("maximize") for p in g["params"]}
    for term in terms:
        leaves = [p for p in term.leaves if p.grad is not None]
        if term.mode != "coupled" or not leaves:
            continue
        with torch.enable_grad():
            value = term.at(step).value(term.tensor())
            grads = torch.autograd.grad(value, leaves)
        for p, grad in zip(leaves, grads, strict=True):
            assert p.grad is not None
            sign = -1.0 if id(p) in climbing else 1.0
            kernels.accumulate(p.grad, grad, sign if scale is None else kernels.fold(sign * scale))


@torch.no_grad()
def decay(
    optimizer: Optimizer,
    found: Members,
    step: int,
    first_lr: Callable[[dict[str, Any]], Factor],
    compiled: Compiled | None = None,
) -> None:
    """w ← w − η ∇R (decoupled), w ← w − (η/η₀) ∇R (independent)."""
    applied = _applied(optimizer)
    for penalty, term, group, p in _acting(found, step):
        rate: Factor = learning_rate(group)
        if term.mode == "independent":
            rate = rate / first_lr(group)
        here = local(p)
        kernels.add_gradient(here, penalty, here, kernels.fold(-(rate * applied)), compiled)


@torch.no_grad()
def prox(
    optimizer: Optimizer, found: Members, step: int, metric: str, compiled: Compiled | None = None
) -> None:
    """w ← argmin_u R(u) + ½(u − w)ᵀH(u − w), constraints last."""
    applied = _applied(optimizer)
    if isinstance(applied, float) and applied == 0.0:
        return
    shrinking: list[many.Shrinking] = []
    for term, group, p in _touched(found):
        if term.mode != "proximal" and not has_constraint(term.penalty):
            continue
        penalty = term.at(step)
        if term.mode != "proximal" or isinstance(penalty, MaxNorm):
            _project(penalty, p)
            continue
        size, state = euclidean(group) if metric == "euclidean" else optimizer_step(optimizer, group, p)
        if isinstance(applied, Tensor):  # on a GPU: a step of 0 leaves the weights as they are
            size = _masked(size, applied)
        shrinking.append((penalty, p, size, state))
    many.shrink(shrinking, compiled)


def _masked(size: Factor | ElementStep, applied: Tensor) -> Factor | ElementStep:
    if isinstance(size, ElementStep):
        return replace(size, top=size.top * applied)
    return size * applied


def _project(penalty: Penalty, p: Tensor) -> None:
    """The constraints of a penalty whose other parts act elsewhere."""
    for part in parts_of(penalty):
        if isinstance(part, MaxNorm):
            prox_of_whole(part, p, 1.0)


def fills_state(optimizer: Optimizer, kwargs: Any) -> bool:
    """Whether torch.distributed.checkpoint has the optimizer make its state: nothing is trained in that step.

    It steps with gradients of zeros at learning rate 0, and gives closure=None by name.
    """
    if optimizer.state or "closure" not in kwargs or kwargs["closure"] is not None:
        return False
    return all(float(group.get("lr", 1.0)) == 0.0 for group in optimizer.param_groups)


def inner(optimizer: Optimizer) -> bool:
    """Whether this is the step of a base class, called from that of a subclass: torch runs the hooks of both."""
    if torch.compiler.is_compiling():
        return False
    hooked = [kind for kind in type(optimizer).__mro__ if getattr(vars(kind).get("step"), "hooked", False)]
    if len(hooked) < 2:
        return False
    codes = {vars(kind)["step"].__code__ for kind in hooked}
    frame: FrameType | None = sys._getframe(1)
    running = 0
    while frame is not None:
        running += frame.f_code in codes and frame.f_locals.get("self") is optimizer
        frame = frame.f_back
    return running > 1


def closure_of(args: Any, kwargs: Any) -> Any:
    """The closure given to step(), if any; args begin with the optimizer in global hooks."""
    given = [a for a in args if callable(a) and not isinstance(a, Optimizer)]
    return given[0] if given else kwargs.get("closure")


def with_closure(args: Any, kwargs: Any, wrapped: Any) -> tuple[Any, Any]:
    """The arguments of step() with its closure exchanged."""
    if kwargs.get("closure") is not None:
        return args, {**kwargs, "closure": wrapped}
    exchanged = tuple(wrapped if callable(a) and not isinstance(a, Optimizer) else a for a in args)
    return exchanged, kwargs
