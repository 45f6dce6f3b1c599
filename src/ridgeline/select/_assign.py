"""Assignment: every parameter of a model to at most one rule, with the reason."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from ridgeline.errors import RidgelineError, nearest
from ridgeline.penalties import Penalty
from ridgeline.select._default import default_reason, default_selection
from ridgeline.select._rule import Mode, Rule, plain_name


@dataclass(frozen=True)
class Assignment:
    """One parameter of a model and what it gets."""

    name: str
    parameter: nn.Parameter
    module: nn.Module
    penalty: Penalty | None
    mode: Mode | None
    rule: str
    reason: str
    tied: tuple[str, ...] = ()


def owned_parameters(model: nn.Module) -> list[tuple[list[str], nn.Module, nn.Parameter]]:
    """Every distinct parameter with all its names (a tied one has several) and its first owner."""
    found: dict[int, tuple[list[str], nn.Module, nn.Parameter]] = {}
    for prefix, module in model.named_modules(remove_duplicate=False):
        for leaf, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            name = plain_name(f"{prefix}.{leaf}" if prefix else leaf)
            entry = found.setdefault(id(parameter), ([], module, parameter))
            if name not in entry[0]:
                entry[0].append(name)
    return list(found.values())


def assign(model: nn.Module, rules: Penalty | Sequence[Rule], mode: Mode = "loss") -> list[Assignment]:
    """Give every parameter of the model its rule; the first match wins, a tied parameter counts once.

    Args:
        rules: a penalty (taken by the default selection) or rules in the order they are tried.
        mode: for rules that name none.

    Raises:
        RidgelineError: when a rule, or the default selection, takes no parameter at all.
    """
    ordered = list(rules) if isinstance(rules, Sequence) else [Rule(default_selection, rules)]
    by_default = any(rule.match is default_selection for rule in ordered)
    used = [0] * len(ordered)
    result = []
    for names, module, parameter in owned_parameters(model):
        _, why = default_reason(names[0], module, parameter)
        penalty, own_mode, label = None, None, ""
        reason = why if by_default else "no rule matches"
        for index, rule in enumerate(ordered):
            if any(rule.matches(name, module, parameter) for name in names):
                used[index] += 1
                penalty, own_mode, label = rule.penalty, rule.mode, str(rule)
                reason = why if rule.match is default_selection else f"rule {index + 1}: {rule}"
                break
        if penalty is not None and not parameter.requires_grad:
            penalty, reason = None, "frozen"
            used[index] -= rule.match is default_selection
        result.append(
            Assignment(
                name=names[0],
                parameter=parameter,
                module=module,
                penalty=penalty,
                mode=None if penalty is None else own_mode or mode,
                rule=label,
                reason=reason,
                tied=tuple(names[1:]),
            )
        )
    _refuse_unused(ordered, used, [row.name for row in result])
    if by_default:
        _warn_unknown(result)
    return result


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
    unknown = [row for row in rows if row.reason.startswith("unknown")]
    elements = sum(row.parameter.numel() for row in rows)
    left = sum(row.parameter.numel() for row in unknown)
    if left > 0.01 * elements:
        warnings.warn(
            f"{left / elements:.0%} of the model's weights sit in modules of unknown type and are not "
            f"penalised ({', '.join(row.name for row in unknown[:3])}); add a Rule that names them.",
            stacklevel=4,
        )
