"""L2 inside the optimizer's kernel: for the length of a step, penalised tensors stand in groups of their own.

The optimizer's weight decay then does what a hook would do, without another pass over the weights. Outside
`step()` the groups are the person's own, so that schedulers and state dicts never see ours.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from torch import Tensor
from torch.optim import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from ridgeline.penalties import L1, L2, ElasticNet
from ridgeline.regularizer._kernels import plain
from ridgeline.regularizer._term import Term

# Their `weight_decay` is g ← g + λw before the rule, or w ← w − ηλw where the group says so.
_KNOWN = (SGD, ASGD, Adam, AdamW, NAdam, RAdam, RMSprop, Adagrad, Adamax, Adadelta)

_ORIGIN = "_ridgeline_origin"


def natively(optimizer: Optimizer, term: Term, step: int) -> tuple[float, Term | None] | None:
    """What the optimizer's own decay can take over at this step, and the term that is left for the hook.

    All of a plain L2; the L2 part of an elastic net in mode "coupled". None where it can take nothing.
    """
    penalty = term.at(step)
    if type(optimizer) not in _KNOWN or term.mode not in ("coupled", "decoupled"):
        return None
    if term.mode == "decoupled" and "decoupled_weight_decay" not in optimizer.param_groups[0]:
        return None
    if not isinstance(penalty, (L2, ElasticNet)) or not plain(penalty) or penalty.reduction != "sum":
        return None
    strength = penalty.strength
    if not isinstance(strength, float):
        return None
    if isinstance(penalty, L2):
        return strength, None
    if term.mode == "decoupled":  # both parts must see the same weights
        return None
    ratio = penalty.l1_ratio
    return strength * (1.0 - ratio), replace(term, penalty=L1(strength * ratio))


class _Running(NamedTuple):
    """The split of a step that has begun.

    Attributes:
        original: the person's own groups.
        actors: who has begun this step.
        made: each group of ours, and what its settings were when it was made.
    """

    original: list[dict[str, Any]]
    actors: set[int]
    made: list[tuple[dict[str, Any], dict[str, Any]]]


# Several regularizers may act in one step of an optimizer.
_STEPS: "WeakKeyDictionary[Optimizer, _Running]" = WeakKeyDictionary()


def begin(optimizer: Optimizer, actor: int) -> None:
    """Note that an actor's step begins; one that never ended, since it raised, is cleared away."""
    running = _STEPS.get(optimizer)
    if running is not None and actor in running.actors:
        join(optimizer)
    _STEPS.setdefault(optimizer, _Running(optimizer.param_groups, set(), [])).actors.add(actor)


def split(optimizer: Optimizer, strengths: Mapping[int, tuple[float, str]]) -> None:
    """Put the parameters with a strength into groups of their own, until `join`.

    Args:
        strengths: by id of the parameter: strength and mode.
    """
    running = _STEPS[optimizer]
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        parts: dict[tuple[float, str] | None, list[Tensor]] = {}
        for p in group["params"]:
            ours = None if group.get("weight_decay") else strengths.get(id(p))
            parts.setdefault(ours, []).append(p)
        for ours, members in parts.items():
            changed = {**group, "params": members, _ORIGIN: origin(group)}
            if ours is not None:
                changed["weight_decay"] = ours[0]
                if "decoupled_weight_decay" in group:
                    changed["decoupled_weight_decay"] = ours[1] == "decoupled"
            groups.append(changed)
            running.made.append((changed, dict(changed)))
    optimizer.param_groups = groups


def join(optimizer: Optimizer) -> None:
    """Give the optimizer its own groups back, with what was set during the step (a learning rate, say)."""
    running = _STEPS.pop(optimizer, None)
    if running is None or not running.made:
        return
    for group, before in running.made:
        for key, value in group.items():
            if key not in ("params", _ORIGIN) and before.get(key) is not value:
                group[_ORIGIN][key] = value
    optimizer.param_groups = running.original


def whole(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The person's own groups, also during a step."""
    running = _STEPS.get(optimizer)
    return optimizer.param_groups if running is None else running.original


def origin(group: dict[str, Any]) -> dict[str, Any]:
    """The person's own group that a group of ours was made from."""
    found: dict[str, Any] = group.get(_ORIGIN, group)
    return found
