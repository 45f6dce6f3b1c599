"""The audit: the table of every parameter, penalised or not, by which rule, and why."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from torch import Tensor

from ridgeline.select import Assignment


@dataclass(frozen=True)
class Audit:
    """Every parameter of a model with its rule, penalty, mode and reason.

    `rows` is a list of dicts with the keys name, shape, elements, penalised, penalty, strength, mode,
    rule, reason, tied. Prints as a table.
    """

    rows: list[dict[str, object]]

    @property
    def penalised_elements(self) -> int:
        """How many weights are penalised."""
        return sum(_int(row["elements"]) for row in self.rows if row["penalised"])

    @property
    def elements(self) -> int:
        """How many weights the model has."""
        return sum(_int(row["elements"]) for row in self.rows)

    def __rich__(self) -> Table:
        total, hit = self.elements, self.penalised_elements
        share = hit / total if total else 0.0
        table = Table(title=f"{hit:,} of {total:,} weights are penalised ({share:.1%})")
        for column in ("parameter", "shape", "penalty", "strength", "mode", "why"):
            table.add_column(column, justify="right" if column == "strength" else "left")
        for row in self.rows:
            strength = row["strength"]
            tied = f"; tied to {row['tied']}" if row["tied"] else ""
            table.add_row(
                str(row["name"]),
                str(row["shape"]),
                str(row["penalty"]) if row["penalised"] else "–",
                "–"
                if strength is None
                else f"{strength:g}"
                if isinstance(strength, float)
                else str(strength),
                str(row["mode"] or "–"),
                f"{row['reason']}{tied}",
                style="" if row["penalised"] else "dim",
            )
        return table

    def __str__(self) -> str:
        buffer = io.StringIO()
        Console(file=buffer, width=120).print(self)
        return buffer.getvalue()


def audit_of(assignments: Sequence[Assignment]) -> Audit:
    """The audit of an assignment."""
    return Audit([_row(assignment) for assignment in assignments])


def _row(a: Assignment) -> dict[str, object]:
    strength: object = None
    if a.penalty is not None:
        strength = a.penalty.strength
        if isinstance(strength, Tensor):
            strength = strength.item() if strength.ndim == 0 else strength.tolist()
    return {
        "name": a.name,
        "shape": "×".join(map(str, a.parameter.shape)) or "scalar",
        "elements": a.parameter.numel(),
        "penalised": a.penalty is not None,
        "penalty": None if a.penalty is None else type(a.penalty).__name__,
        "strength": strength,
        "mode": a.mode,
        "rule": a.rule,
        "reason": a.reason,
        "tied": ", ".join(a.tied),
    }


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
