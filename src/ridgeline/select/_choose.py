"""Choosing: the first rule that takes each tensor, with what parametrizations add to that."""

from collections.abc import Sequence

from ridgeline.select._default import default_reason, default_selection
from ridgeline.select._owned import OwnedTensor
from ridgeline.select._rule import Rule


def choices(rules: Sequence[Rule], tensors: Sequence[OwnedTensor]) -> tuple[list[int | None], dict[int, str]]:
    """The rule of each tensor, and for tensors that go without one because of a parametrization, why.

    A rule that takes an effective weight means it, and never its leaves. A rule that names a leaf alone
    acts where it stands before the effective weight's own.
    """
    chosen = [_first_match(rules, tensor) for tensor in tensors]
    instead: dict[int, str] = {}
    for place, whole in enumerate(tensors):
        if not whole.effective:
            continue
        ids = {id(p) for p in whole.leaves}
        leaves = [k for k, t in enumerate(tensors) if not t.effective and id(t.parameter) in ids]
        for k in leaves:
            chosen[k] = _first_match(rules, tensors[k], besides=whole)
        named = [i for k in leaves if (i := chosen[k]) is not None and rules[i].penalty is not None]
        own = chosen[place]
        if own is None or rules[own].penalty is None:
            continue
        if named and min(named) < own:
            chosen[place] = None
            instead[place] = f"its leaf is taken instead, by rule {min(named) + 1}: {rules[min(named)]}"
            continue
        for k in leaves:
            chosen[k] = None
            instead[k] = "leaf of the parametrized weight above"
    return chosen, instead


def default_of(tensor: OwnedTensor) -> tuple[bool, str]:
    """What the default selection says: it takes a tied tensor when any of its owners would have it taken."""
    said = [default_reason(name, m, tensor.parameter, tensor.effective) for name, m in tensor.owners]
    return next((found for found in said if found[0]), said[0])


def _hits(rule: Rule, tensor: OwnedTensor) -> bool:
    if rule.match is default_selection:
        return default_of(tensor)[0]
    return any(rule.matches(name, module, tensor.parameter) for name, module in tensor.owners)


def _first_match(
    rules: Sequence[Rule], tensor: OwnedTensor, besides: OwnedTensor | None = None
) -> int | None:
    """The first rule that takes the tensor, among those that leave `besides`."""
    for index, rule in enumerate(rules):
        if _hits(rule, tensor) and not (besides is not None and _hits(rule, besides)):
            return index
    return None
