"""L2 through the optimizer's own weight decay, where one rule covers a whole parameter group.

It costs nothing: the decay sits inside the optimizer's kernel.
"""

from collections.abc import Mapping
from typing import Any

from torch.optim import ASGD, SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, NAdam, Optimizer, RAdam, RMSprop

from ridgeline.penalties import L2
from ridgeline.regularizer._term import Term

# g ← g + λw before the rule, for exactly these; subclasses may do otherwise.
_COUPLED = (SGD, Adam, RMSprop, Adagrad, Adamax, NAdam, RAdam, Adadelta, ASGD)


def native_groups(optimizer: Optimizer, terms: Mapping[int, Term]) -> list[tuple[dict[str, Any], float]]:
    """The groups whose every parameter has the same plain L2 term in a mode the optimizer has itself."""
    found = []
    for group in optimizer.param_groups:
        members = [terms.get(id(p)) for p in group["params"]]
        if not members or any(term is None or not _plain(term) for term in members):
            continue
        kinds = {
            (term.penalty.strength, term.mode) for term in members if term and isinstance(term.penalty, L2)
        }
        if len(kinds) != 1 or group.get("weight_decay"):
            continue
        strength, mode = kinds.pop()
        decoupled = bool(group.get("decoupled_weight_decay")) or type(optimizer) is AdamW
        fits = (mode == "decoupled") == decoupled
        if fits and (type(optimizer) in _COUPLED or type(optimizer) is AdamW):
            assert isinstance(strength, float)
            found.append((group, strength))
    return found


def _plain(term: Term) -> bool:
    penalty = term.penalty
    return (
        type(penalty) is L2
        and isinstance(penalty.strength, float)
        and penalty.reduction == "sum"
        and term.mode in ("coupled", "decoupled")
        and not term.effective
    )
