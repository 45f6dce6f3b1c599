"""Penalties in a pack's step: the five modes with a strength per lane."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ridgeline.lanes._stack import over_lanes
from ridgeline.lanes._stacked import Signature, idle, scaled, signature, stacked, strengths
from ridgeline.lanes._stacked import chosen as chosen_penalty
from ridgeline.penalties import L1, L2, MaxNorm, Penalty, parts_of
from ridgeline.select import Assignment, Mode

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class LaneTerm:
    """A penalty on one parameter of the lanes first…last, each with its own strength."""

    name: str
    mode: Mode
    penalty: Penalty
    first: int
    last: int

    def of(self, tensors: Weights) -> Tensor:
        """The lanes' own part of a tensor."""
        return tensors[self.name][self.first : self.last]

    @property
    def constraints(self) -> list[Penalty]:
        """Its parts that are kept by projection."""
        return [part for part in parts_of(self.penalty) if isinstance(part, MaxNorm)]

    @cached_property
    def late(self) -> bool:
        """Whether it acts after the update."""
        return self.mode == "proximal" or bool(self.constraints)


def lane_terms(assigned: Sequence[Sequence[Assignment]], weights: Weights) -> list[LaneTerm]:
    """The terms of all lanes; penalties that differ in no more than strength become one.

    Args:
        assigned: each lane's rows, those of the pads included.
        weights: the weights at the start, [L, *shape].
    """
    found: dict[tuple[str, Mode, Signature], dict[int, Penalty]] = {}
    for lane, rows in enumerate(assigned):
        for row in rows:
            if row.penalty is not None and row.mode is not None and not idle(row.penalty):
                key = (row.name, row.mode, signature(row.penalty))
                found.setdefault(key, {})[lane] = row.penalty
    terms = []
    for (name, mode, _), members in found.items():
        first, last = min(members), max(members) + 1
        numbers = [strengths(members[lane]) if lane in members else None for lane in range(first, last)]
        penalty = stacked(members[first], numbers, weights[name][first:last])
        terms.append(LaneTerm(name, mode, penalty, first, last))
    return terms


def chosen(terms: Sequence[LaneTerm], index: Tensor) -> list[LaneTerm]:
    """The terms of these lanes, which stay in order but for a pad at the end."""
    made = []
    for term in terms:
        inside = [i for i, lane in enumerate(index.tolist()) if term.first <= lane < term.last]
        if inside:
            assert inside == list(range(inside[0], inside[-1] + 1))
            here = index[inside] - term.first
            made.append(
                replace(
                    term, penalty=chosen_penalty(term.penalty, here), first=inside[0], last=inside[-1] + 1
                )
            )
    return made


def penalties(terms: Sequence[LaneTerm], weights: Weights, lanes: int) -> Tensor:
    """The whole penalty of each lane as it stands, (L,), at least float32."""
    first = next(iter(weights.values()))
    total = torch.zeros(lanes, dtype=torch.promote_types(first.dtype, torch.float32), device=first.device)
    for term in terms:
        total[term.first : term.last] += term.penalty.value(term.of(weights))
    return total


def add_gradients(terms: Sequence[LaneTerm], mode: Mode, weights: Weights, grads: Weights) -> None:
    """g ← g + ∇R for the terms of one mode, in place."""
    for term in terms:
        if term.mode == mode:
            w, g = term.of(weights), term.of(grads)
            for part in parts_of(term.penalty):
                _add_gradient(part, w, g)


def _add_gradient(part: Penalty, w: Tensor, g: Tensor) -> None:
    if isinstance(part, MaxNorm):
        return
    if type(part) in (L1, L2):
        assert isinstance(part, (L1, L2))
        g.addcmul_(w if type(part) is L2 else w.sign(), torch.as_tensor(part.per_element(w)))
    else:
        g.add_(part.gradient(w))


def decay(
    terms: Sequence[LaneTerm], weights: Weights, rates: Sequence[float], first: Sequence[float]
) -> None:
    """w ← w − η ∇R (decoupled), w ← w − (η/η₀) ∇R (independent), in place.

    Args:
        rates, first: η and η₀ of each lane.
    """
    for term in terms:
        if term.mode not in ("decoupled", "independent"):
            continue
        w, own = term.of(weights), slice(term.first, term.last)
        paces = rates[own]
        if term.mode == "independent":
            paces = [rate / start for rate, start in zip(paces, first[own], strict=True)]
        pace = over_lanes([-each for each in paces], w)
        if type(term.penalty) is L2:
            w.mul_(1.0 + pace * torch.as_tensor(term.penalty.per_element(w)))
        else:
            w.addcmul_(term.penalty.gradient(w), pace)


@dataclass(frozen=True)
class Metric:
    """1/H of the optimizer's own metric, or of the Euclidean one.

    Attributes:
        top: the numerator of each lane, in one number where H has no more.
        shift: ε√c of each lane, beside √v; None where H is one number a lane.
        squares: v by name, where H has one number an element.
    """

    top: Sequence[float]
    shift: Sequence[float] | None = None
    squares: Weights | None = None


def prox(terms: Sequence[LaneTerm], weights: Weights, metric: Metric) -> None:
    """w ← argmin_u R(u) + ½(u − w)ᵀH(u − w) of mode "proximal", and every constraint, in place."""
    for term in terms:
        w, own = term.of(weights), slice(term.first, term.last)
        if term.mode == "proximal" and len(term.constraints) < len(parts_of(term.penalty)):
            top = over_lanes(metric.top[own], w)
            if metric.squares is None or metric.shift is None:  # λ and the step are one number
                w.copy_(scaled(term.penalty, top.flatten()).prox(w, 1.0))
            else:
                root = term.of(metric.squares).sqrt().add_(over_lanes(metric.shift[own], w))
                w.copy_(term.penalty.prox(w, top / root))
            continue
        for part in term.constraints:
            w.copy_(part.prox(w, 1.0))
