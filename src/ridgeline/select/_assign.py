"""Assignment: every parameter of a model to at most one rule, with the reason."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ridgeline.errors import RidgelineError, nearest
from ridgeline.penalties import Penalty
from ridgeline.select._default import default_reason, default_selection
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
    each leaf, which a rule reaches only where none took the effective tensor.

    Args:
        rules: a penalty (taken by the default selection) or rules in the order they are tried.
        mode: for rules that name none.

    Raises:
        RidgelineError: when a rule, or the default selection, takes no parameter at all; when a parameter
            is not initialised yet.
    """
    ordered = list(rules) if isinstance(rules, Sequence) else [Rule(default_selection, rules)]
    by_default = any(rule.match is default_selection for rule in ordered)
    used = [0] * len(ordered)
    result: list[Assignment] = []
    through: set[int] = set()
    for tensor in owned_tensors(model):
        _refuse_uninitialised(tensor)
        why = default_reason(tensor.names[0], tensor.module, tensor.parameter, tensor.effective)[1]
        penalty, own_mode, label = None, None, ""
        reason = why if by_default else "no rule matches"
        trainable = any(p.requires_grad for p in tensor.leaves)
        if id(tensor.parameter) in through and not tensor.effective:
            reason = "leaf of the parametrized weight above"
        else:
            index = _first_match(ordered, tensor)
            if index is not None:
                rule = ordered[index]
                penalty, own_mode, label = rule.penalty, rule.mode, str(rule)
                reason = why if rule.match is default_selection else f"rule {index + 1}: {rule}"
                used[index] += trainable or rule.match is not default_selection
        if penalty is not None and not trainable:
            penalty, reason = None, "frozen"
        if penalty is not None and tensor.effective:
            through |= {id(p) for p in tensor.leaves}
            reason += "; effective weight, computed from " + ", ".join(tensor.leaf_names)
        result.append(
            Assignment(
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
        )
    _refuse_unused(ordered, used, [row.name for row in result])
    if by_default:
        _warn_unknown(result)
    return result


def _first_match(rules: Sequence[Rule], tensor: OwnedTensor) -> int | None:
    for index, rule in enumerate(rules):
        if rule.match is default_selection:
            hit = default_reason(tensor.names[0], tensor.module, tensor.parameter, tensor.effective)[0]
        else:
            hit = any(rule.matches(name, tensor.module, tensor.parameter) for name in tensor.names)
        if hit:
            return index
    return None


def _refuse_uninitialised(tensor: OwnedTensor) -> None:
    if isinstance(tensor.parameter, nn.parameter.UninitializedParameter):
        raise RidgelineError(
            f"{tensor.names[0]} of the lazy module {type(tensor.module).__name__} is not initialised yet; push "
            f"one batch through the model before regularize()."
        )


def _refuse_unused(rules: Sequence[Rule], used: list[int], names: list[str]) -> None:
    for index, (rule, hits) in enumerate(zip(rules, used, strict=True)):
        if hits:
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
