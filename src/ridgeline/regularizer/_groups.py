"""Parameter groups with native weight decay, for use before the optimizer exists."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from ridgeline.penalties import L2, Penalty
from ridgeline.select import Rule, assign


def param_groups(model: nn.Module, rules: Penalty | Sequence[Rule]) -> list[dict[str, Any]]:
    """Groups for a torch optimizer: one a strength, with `weight_decay` in each, 0 written out too.

    `torch.optim.AdamW(ridgeline.param_groups(model, ridgeline.L2(0.01)))` decays weights and nothing else.
    What the decay means is the optimizer's: coupled in SGD and Adam, decoupled in AdamW.

    Args:
        rules: L2 penalties of one number only; the first match wins.

    Raises:
        ValueError: for a penalty that weight decay cannot express, or a rule that matches nothing.

    Example:
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
        >>> [(g["weight_decay"], len(g["params"])) for g in param_groups(model, L2(0.01))]
        [(0.01, 1), (0.0, 3)]
    """
    given = [] if isinstance(rules, Penalty) else [rule for rule in rules if rule.mode is not None]
    if given:
        raise ValueError(
            f"param_groups: {given[0]} names a mode, and what a decay means is the optimizer's (coupled in SGD and "
            f"Adam, decoupled in AdamW); leave mode out."
        )
    groups: dict[float, list[nn.Parameter]] = {}
    for row in assign(model, rules):
        strength = 0.0
        if row.penalty is not None:
            if not (type(row.penalty) is L2 and isinstance(row.penalty.strength, float)) or row.effective:
                raise ValueError(
                    f"param_groups: {row.name} gets {type(row.penalty).__name__}; weight decay can express L2 with "
                    f"one number on a leaf parameter only. Use regularize() with optimizer= for the rest."
                )
            if row.penalty.reduction != "sum":
                raise ValueError(
                    "param_groups: weight decay cannot express reduction='mean'; use regularize()."
                )
            strength = row.penalty.strength
        if row.parameter.requires_grad and not row.effective:
            groups.setdefault(strength, []).append(row.parameter)
    return [
        {"params": groups[strength], "weight_decay": strength} for strength in sorted(groups, reverse=True)
    ]
