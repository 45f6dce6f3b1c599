"""Assignment: every parameter of a model to at most one rule, with the reason."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ridgeline.errors import RidgelineError, nearest
from ridgeline.penalties import Penalty
from ridgeline.select._choose import choices, default_of
from ridgeline.select._default import default_selection
from ridgeline.select._owned import OwnedTensor, owned_tensors
from ridgeline.select._rule import Mode, Rule


@dataclass(frozen=True)
class Assignment:
    """One parameter of a model and what it gets.

    Attributes:
        leaf: the attribute of `module` that holds the tensor.
        parameter: the parameter; of an effective weight, the first leaf.
        leaves: the parameters behind the tensor: itself, or what a parametrization computes it from.
        effective: whether the tensor is computed (torch.nn.utils.parametrize).
    """

    name: str
    leaf: str
    parameter: nn.Parameter
    leaves: tuple[nn.Parameter, ...]
    module: nn.Module
    penalty: Penalty | None
    mode: Mode | None
    rule: str
    reason: str
    tied: tuple[str, ...] = ()
    effective: bool = False


def assign(model: nn.Module, rules: Penalty | Sequence[Rule], mode: Mode = "loss") -> list[Assignment]:
    """Give every parameter of the model its rule; the first match wins, a tied parameter counts once.

    A parametrized weight (weight_norm, spectral_norm) is one row for the effective tensor, and a row for
    each leaf, which only a rule that names the leaf alone can reach.

    Args:
        rules: a penalty (taken by the default selection) or rules in the order they are tried.
        mode: for rules that name none.

    Raises:
        RidgelineError: when there are no rules; when a rule, the default selection, or all of them together
            take no parameter; when a parameter is not initialised yet.
        TypeError: for what is no module; for what is neither a penalty nor a list of rules.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model is {type(model).__name__}; it must be the nn.Module, not its parameters.")
    ordered = _rules(rules)
    tensors = owned_tensors(model)
    for tensor in tensors:
        _refuse_uninitialised(tensor)
    chosen, instead = choices(ordered, tensors)
    result = [
        _assigned(tensor, ordered, chosen[place], instead.get(place, ""), mode)
        for place, tensor in enumerate(tensors)
    ]
    _refuse_unused(ordered, tensors, chosen)
    if all(row.penalty is None for row in result):
        raise RidgelineError(
            f"the rules penalise none of the model's {len(result)} parameters: all are exempt or frozen; leave "
            f"regularize() out, or name weights to penalise in a Rule."
        )
    if _by_default(ordered):
        _warn_unknown(result)
    return result


def _rules(rules: Penalty | Sequence[Rule]) -> list[Rule]:
    if isinstance(rules, Penalty) and not isinstance(rules, type):
        return [Rule(default_selection, rules)]
    listed = list(rules) if isinstance(rules, Sequence) else []
    wrong = not isinstance(rules, Sequence) or any(not isinstance(rule, Rule) for rule in listed)
    if wrong:
        raise TypeError(
            f"the rules are {rules!r}; allowed: one penalty, such as L2(1e-4), or a list of Rules, such as "
            f"[Rule('head.*', None), Rule('*.weight', L2(1e-4))]."
        )
    if not listed:
        raise RidgelineError("the list of rules is empty; give one penalty, or at least one Rule.")
    return listed


def _by_default(rules: Sequence[Rule]) -> bool:
    return any(rule.match is default_selection for rule in rules)


def _assigned(
    tensor: OwnedTensor, rules: Sequence[Rule], index: int | None, instead: str, mode: Mode
) -> Assignment:
    penalty, own_mode, label = None, None, ""
    reason = instead or (default_of(tensor)[1] if _by_default(rules) else "no rule matches")
    if index is not None:
        rule = rules[index]
        penalty, own_mode, label = rule.penalty, rule.mode, str(rule)
        if rule.match is not default_selection:
            reason = f"rule {index + 1}: {rule}"
    if penalty is not None and not tensor.trainable:
        penalty, reason = None, "frozen"
    if penalty is not None and tensor.effective:
        reason += "; effective weight, computed from " + ", ".join(tensor.leaf_names)
    return Assignment(
        name=tensor.names[0],
        leaf=tensor.leaf,
        parameter=tensor.parameter,
        leaves=tensor.leaves,
        module=tensor.module,
        penalty=penalty,
        mode=None if penalty is None else own_mode or mode,
        rule=label,
        reason=reason,
        tied=tuple(tensor.names[1:]),
        effective=tensor.effective,
    )


def _refuse_uninitialised(tensor: OwnedTensor) -> None:
    if isinstance(tensor.parameter, nn.parameter.UninitializedParameter):
        raise RidgelineError(
            f"{tensor.names[0]} of the lazy module {type(tensor.module).__name__} is not initialised yet; push "
            f"one batch through the model before regularize()."
        )


def _refuse_unused(
    rules: Sequence[Rule], tensors: Sequence[OwnedTensor], chosen: Sequence[int | None]
) -> None:
    names = [tensor.names[0] for tensor in tensors]
    taken = [(index, tensor.trainable) for index, tensor in zip(chosen, tensors, strict=True)]
    for index, rule in enumerate(rules):
        if any(i == index and (live or rule.match is not default_selection) for i, live in taken):
            continue
        if rule.match is default_selection:
            why = "an earlier rule takes them all" if index else "it has no such layer that is not frozen"
            raise RidgelineError(
                f"the default selection takes none of the model's {len(names)} parameters ({why}); name the "
                f"weights to penalise in a Rule."
            )
        raise RidgelineError(
            f"the rule {rule} matches no parameter that an earlier rule leaves; "
            f"{nearest(str(rule).strip('*./'), names)}"
        )


def _warn_unknown(rows: list[Assignment]) -> None:
    unknown = [
        row
        for row in rows
        if row.reason.startswith("unknown") and row.parameter.requires_grad and not row.effective
    ]
    elements = sum(row.parameter.numel() for row in rows)
    left = sum(row.parameter.numel() for row in unknown)
    if left > 0.01 * elements:
        warnings.warn(
            f"{left / elements:.0%} of the model's weights sit in modules of unknown type and are not "
            f"penalised ({', '.join(row.name for row in unknown[:3])}); add a Rule that names them.",
            stacklevel=4,
        )
