"""The audit: the table of every parameter, penalised or not, by which rule, why, and what to look at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Optimizer

from ridgeline.penalties import Penalty, parts_of
from ridgeline.regularizer._sharded import local, summed
from ridgeline.regularizer._table import Table
from ridgeline.regularizer._term import is_zero
from ridgeline.select import Assignment, current


@dataclass(frozen=True)
class Audit(Table):
    """Every parameter of a model with its rule, penalty, mode and reason.

    `rows` is a list of dicts with the keys name, shape, elements, penalised, penalty, strength,
    effective_strength (where the optimizer changes it), mode, rule, reason, tied, denormals, flags (with
    `sample`, scale invariance too). Prints as a table; shows as HTML in a notebook.
    """

    @property
    def penalised_elements(self) -> int:
        """How many weights are penalised."""
        return sum(int(row["elements"]) for row in self.rows if row["penalised"])

    @property
    def elements(self) -> int:
        """How many weights the model has."""
        return sum(int(row["elements"]) for row in self.rows)

    @property
    def title(self) -> str:
        """The sentence above the table."""
        share = self.penalised_elements / self.elements if self.elements else 0.0
        return f"{self.penalised_elements:,} of {self.elements:,} weights are penalised ({share:.1%})"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return ("parameter", "shape", "penalty", "strength ", "mode", "why")

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        """One row of the table."""
        strength = _shown(row["strength"])
        if row["effective_strength"] is not None:
            strength += f" (acts as {_shown(row['effective_strength'])})"
        why = "; ".join([str(row["reason"]), *row["flags"]])
        return (row["name"], row["shape"], row["penalty"] or "–", strength, row["mode"] or "–", why)

    def quiet(self, row: dict[str, Any]) -> bool:
        """Tensors that are not penalised stand back."""
        return not row["penalised"]


_INVARIANT: dict[bool | None, list[str]] = {
    True: [
        "scale-invariant: doubling it leaves the output unchanged, as before a normalization layer; L2 here sets "
        "the effective learning rate, not the capacity"
    ],
    False: [],
    None: ["scale invariance undecided: two equal passes over the sample differ, or a changed one fails"],
}


def audit_of(
    assignments: Sequence[Assignment],
    optimizer: Optimizer | None,
    clock: int,
    first_lr: Callable[[dict[str, Any]], float | Tensor] | None,
    invariant: Mapping[str, bool | None],
) -> Audit:
    """The audit of an assignment, with what the optimizer does to the same tensors.

    Args:
        first_lr: η₀ of a group, as mode "independent" reads it; None without an optimizer.
        invariant: by name, of the tensors that were probed: scale-invariant or not; None is undecided.
    """
    groups = {} if optimizer is None else {id(p): g for g in optimizer.param_groups for p in g["params"]}
    rows = []
    for a, denormals in zip(assignments, _denormals(assignments), strict=True):
        group = groups.get(id(a.parameter))
        decay = 0.0 if group is None else float(group.get("weight_decay", 0))
        row = _row(a, optimizer, group, decay, denormals, clock)
        if a.name in invariant:
            row["flags"] += _INVARIANT[invariant[a.name]]
        if group is not None and first_lr is not None:
            row["effective_strength"] = _effective(a, optimizer, group, row["strength"], first_lr)
        rows.append(row)
    return Audit(rows)


def _row(
    a: Assignment,
    optimizer: Optimizer | None,
    group: dict[str, Any] | None,
    decay: float,
    denormals: int,
    clock: int,
) -> dict[str, Any]:
    flags = []
    if a.tied:
        flags.append("tied to " + ", ".join(a.tied))
    if not any(p.requires_grad for p in a.leaves) and a.reason != "frozen":
        flags.append("frozen")
    if optimizer is not None and group is None and a.parameter.requires_grad and not a.effective:
        flags.append("not in the optimizer")
    if decay:
        flags.append(f"the optimizer's own weight_decay={decay:g} is on")
    if denormals:
        flags.append(
            f"{denormals:,} denormals slow the CPU: torch.set_flush_denormal(True) before the first tensor"
        )
    strength = None if a.penalty is None else _strength(a.penalty, clock)
    tensor = current(a.module, a.leaf) if a.effective else a.parameter
    return {
        "name": a.name,
        "shape": "×".join(map(str, tensor.shape)) or "scalar",
        "elements": 0 if a.effective else a.parameter.numel(),
        "penalised": a.penalty is not None and not is_zero(a.penalty),
        "penalty": None if a.penalty is None else " + ".join(type(p).__name__ for p in parts_of(a.penalty)),
        "strength": strength,
        "effective_strength": None,
        "mode": a.mode,
        "rule": a.rule,
        "reason": a.reason,
        "tied": ", ".join(a.tied),
        "denormals": denormals,
        "flags": flags,
    }


def _denormals(rows: Sequence[Assignment]) -> list[int]:
    """How many elements of each lie between 0 and the smallest normal number."""
    counted = {
        k: a.parameter
        for k, a in enumerate(rows)
        if a.parameter.is_floating_point() and not a.parameter.is_meta and not a.effective
    }
    totals = summed([(_tiny(local(p.detach())), p) for p in counted.values()])
    found = dict(zip(counted, map(int, totals), strict=True))
    return [found.get(k, 0) for k in range(len(rows))]


def _tiny(w: Tensor) -> Tensor:
    magnitude = w.abs()
    return ((magnitude > 0) & (magnitude < torch.finfo(w.dtype).tiny)).sum()


def _strength(penalty: Penalty, clock: int) -> float | list[float] | str:
    found = [_number(getattr(part, "strength", None), clock) for part in parts_of(penalty)]
    return found[0] if len(found) == 1 else " + ".join(map(_shown, found))


def _number(strength: object, clock: int) -> float | list[float] | str:
    if isinstance(strength, Tensor):
        values = strength.tolist()
        return values if isinstance(values, list) else float(values)
    return strength if isinstance(strength, float) else str(strength)


def _effective(
    a: Assignment,
    optimizer: Optimizer | None,
    group: dict[str, Any],
    strength: object,
    first_lr: Callable[[dict[str, Any]], float | Tensor],
) -> float | None:
    """The strength whose penalised objective has the same fixed point, where that differs.

    Under SGD with momentum μ, `decoupled` and `independent` act as λ(1 − μ); `independent` besides as
    λ/η₀, its own strength being a rate a step.
    """
    if not isinstance(strength, float) or a.mode not in ("decoupled", "independent"):
        return None
    factor = 1.0
    if a.mode == "independent":
        factor /= float(first_lr(group))
    if isinstance(optimizer, SGD):
        factor *= (1.0 - float(group["momentum"])) / (1.0 - float(group["dampening"]))
    return None if factor == 1.0 else strength * factor


def _shown(strength: object) -> str:
    if strength is None:
        return "–"
    return f"{strength:.4g}" if isinstance(strength, float) else str(strength)
