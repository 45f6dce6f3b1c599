"""Comparing conventions: one row a tensor, where they differ and why, and what an optimizer does itself."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError
from ridgeline.select._conventions import CONVENTIONS, group_decay, of_optimizer
from ridgeline.select._findings import difference, findings
from ridgeline.select._owned import current, owned_tensors
from ridgeline.select._rows import LABELS, Note, Row


@dataclass(frozen=True)
class Comparison:
    """A model under all conventions; built by `compare`.

    Attributes:
        groups: (weight_decay, names) of each group of the optimizer; None without one.
        strangers: how many tensors of the optimizer are not the model's.
    """

    rows: tuple[Row, ...]
    groups: tuple[tuple[float, tuple[str, ...]], ...] | None = None
    strangers: int = 0

    @property
    def parameters(self) -> list[Row]:
        """The rows of parameters, without those of computed weights."""
        return [row for row in self.rows if not row.effective]

    @property
    def penalised(self) -> list[Row]:
        """The parameters that our default reaches, directly or through a computed weight."""
        return [row for row in self.parameters if row.ours.decays is not False]

    def summary(self) -> str:
        """How much our default would penalise, and how the others differ from it, in one sentence."""
        every, taken = self.parameters, self.penalised
        elements, reached = sum(row.elements for row in every), sum(row.elements for row in taken)
        frozen, lazy = sum(not row.trainable for row in every), sum(row.shape is None for row in every)
        aside = f", {frozen} of them frozen" * bool(frozen)
        aside += f", {lazy} of them lazy and their weights not counted" * bool(lazy)
        others = [f"{LABELS[key]} {self._against(key)}" for key in ("timm", "huggingface")]
        return (
            f"{reached:,} of {elements:,} weights ({reached / max(elements, 1):.1%}), in {len(taken)} of "
            f"{len(every)} tensors{aside}, would be penalised by our default; of the tensors, a bare weight_decay= "
            f"would decay {self._against('weight_decay')}, {', '.join(others)}."
        )

    def _against(self, key: str) -> str:
        taken = {row.name for row in self.penalised}
        theirs = {row.name for row in self.parameters if row.decisions[key].decays}
        more, fewer = len(theirs - taken), len(taken - theirs)
        parts = [f"{more} more"] * bool(more) + [f"{fewer} fewer"] * bool(fewer)
        return " and ".join(parts) or "the same"

    def differences(self) -> list[Note]:
        """Where the conventions differ, a sentence for each cause; those of a bare weight_decay= alone last."""
        found: dict[tuple[str, tuple[bool | None, ...]], list[Row]] = {}
        for row in self.parameters:
            if row.differs():
                found.setdefault((row.cause, row.answers()), []).append(row)
        order = sorted(
            found.values(),
            key=lambda rows: (
                not rows[0].differs("ridgeline", "timm", "huggingface"),
                -sum(row.elements for row in rows),
            ),
        )
        return [Note(rows[0].cause, tuple(row.name for row in rows), difference(rows)) for rows in order]

    def findings(self) -> list[Note]:
        """What is worth knowing about the optimizer's own decay; empty without an optimizer."""
        return [] if self.groups is None else list(findings(self.parameters, self.groups, self.strangers))


def compare(model: nn.Module, optimizer: Optimizer | None = None) -> Comparison:
    """A model under our default, a bare weight_decay=, timm and Hugging Face, and the given optimizer.

    Raises:
        RidgelineError: for a model without parameters.

    Example:
        >>> print(compare(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))).summary())
        12 of 24 weights (50.0%), in 1 of 4 tensors, would be penalised by our default; of the tensors, a bare
        weight_decay= would decay 3 more, timm the same, Hugging Face 1 more.
    """
    tensors = owned_tensors(model)
    if not tensors:
        raise RidgelineError(f"{type(model).__name__} has no parameters; give a model that has some.")
    told = {key: convention(model) for key, convention in CONVENTIONS.items()}
    if optimizer is not None:
        told["optimizer"] = of_optimizer(model, optimizer)
    rows = []
    for tensor in tensors:
        lazy = isinstance(tensor.parameter, UninitializedParameter)
        with torch.no_grad():
            shown = current(tensor.module, tensor.leaf) if tensor.effective else tensor.parameter
        rows.append(
            Row(
                name=tensor.names[0],
                shape=None if lazy else tuple(shown.shape),
                elements=0 if lazy or tensor.effective else shown.numel(),
                tied=tuple(tensor.names[1:]),
                trainable=tensor.trainable,
                effective=tensor.effective,
                decisions={key: decisions[tensor.names[0]] for key, decisions in told.items()},
            )
        )
    if optimizer is None:
        return Comparison(tuple(rows))
    names = {id(t.parameter): t.names[0] for t in tensors if not t.effective}
    held = [[names.get(id(p)) for p in group["params"]] for group in optimizer.param_groups]
    groups = tuple(
        (group_decay(optimizer, place), tuple(name for name in found if name is not None))
        for place, found in enumerate(held)
    )
    return Comparison(tuple(rows), groups, sum(found.count(None) for found in held))
