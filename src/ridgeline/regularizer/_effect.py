"""reg.effect(loss): how hard the penalty pulls at each tensor at this moment, beside the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._data_gradients import check_loss, data_gradients
from ridgeline.regularizer._effect_rows import ById, row_of
from ridgeline.regularizer._hooks import Clock
from ridgeline.regularizer._kernels import Factor
from ridgeline.regularizer._next_step import NextStep
from ridgeline.regularizer._sharded import like, local, summed
from ridgeline.regularizer._stand_in import stand_ins
from ridgeline.regularizer._table import Table
from ridgeline.regularizer._term import Term


@dataclass(frozen=True)
class Effect(Table):
    """How the penalty acts on each tensor at this moment.

    `rows` is a list of dicts with the keys name, mode, data_gradient and penalty_gradient (Euclidean norms),
    ratio (of the second to the first), share (of the penalty in the displacement of the next step, 0 to 1),
    verdict ("dead", "negligible", "acting", "dominating") and sentence. The share is
    ‖d_R‖/(‖d_R‖ + ‖d_L‖): d_L is the next step without the penalty, d_R what the penalty changes about it,
    both made by the optimizer itself on copies. Without an optimizer, and for LBFGS, gradients stand for
    displacements, and `share_of` is "gradient".
    """

    share_of: Literal["step", "gradient"] = "step"

    @property
    def title(self) -> str:
        """How many tensors have which verdict."""
        kinds = [str(row["verdict"]) for row in self.rows]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        return f"The penalty at {len(kinds)} tensors: {counts}" if kinds else "No tensor is penalised"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return (
            "parameter",
            "‖∇ data loss‖ ",
            "‖∇ penalty‖ ",
            "ratio ",
            f"share of {self.share_of} ",
            "what it means",
        )

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        """One row of the table."""
        numbers = (row["data_gradient"], row["penalty_gradient"], row["ratio"])
        said = f"{row['verdict']}: {row['sentence']}"
        return (row["name"], *(f"{x:.3g}" for x in numbers), f"{row['share']:.2%}", said)


def effect_of(
    loss: Tensor,
    terms: Sequence[Term],
    model: nn.Module,
    optimizer: Optimizer | None,
    clock: Clock,
    metric: str,
    first_lr: Sequence[Factor],
) -> Effect:
    """The effect at the weights as they are; weights, gradients and the optimizer's state stay so.

    Args:
        model: of which `loss` is; under DistributedDataParallel or fully_shard, every process must call.

    Raises:
        ValueError: for a loss without a graph, of several numbers, or with the penalty in it.
        RuntimeError: where the optimizer's step cannot be made on a copy.
    """
    check_loss(loss)
    held = [p for t in terms for p in t.parameters()]
    if optimizer is not None:  # some optimizers look at all gradients at once
        held += [p for group in optimizer.param_groups for p in group["params"]]
    leaves = list({id(p): p for p in held if p.requires_grad}.values())
    moving = {id(p) for p in leaves}
    data = data_gradients(loss, leaves, model)
    pulls = [_pull(t.at(clock.step), t) for t in terms]
    free = [{key: grad for key, grad in pull.items() if key in moving} for pull in pulls]
    if optimizer is None or isinstance(optimizer, LBFGS):
        return Effect(_rows(terms, data, pulls, [data] * len(terms), free, None), "gradient")
    step = NextStep(optimizer, leaves, clock, metric, first_lr)
    plain = step.displacement(data, [])
    pushed = dict(data)
    for term, pull in zip(terms, free, strict=True):
        for key, grad in pull.items():
            if term.mode == "loss" or (term.effective and key in data):
                pushed[key] = pushed[key] + grad if key in pushed else grad
    whole = step.displacement(pushed, terms)
    change = {key: moved - plain[key] for key, moved in whole.items()}
    rates = {id(p): float(group.get("lr", 1.0)) for group in optimizer.param_groups for p in group["params"]}
    return Effect(_rows(terms, data, pulls, [plain] * len(terms), [change] * len(terms), rates))


def _pull(penalty: Penalty, term: Term) -> ById:
    """∇R by parameter."""
    if not term.effective:
        w = term.tensor()
        return {id(term.parameter): like(stand_ins([(penalty, w)])[0].gradient(local(w.detach())), w)}
    leaves = [p for p in term.leaves if p.requires_grad]
    with torch.enable_grad():
        grads = torch.autograd.grad(penalty.value(term.tensor()).sum(), leaves, allow_unused=True)
    return {id(p): g for p, g in zip(leaves, grads, strict=True) if g is not None}


def _norms(terms: Sequence[Term], tensors: Sequence[ById]) -> list[float]:
    """The norm of each term's tensors; of sharded ones, over all shards."""
    owned = [
        (k, found[id(p)], p)
        for k, (t, found) in enumerate(zip(terms, tensors, strict=True))
        for p in t.leaves
        if id(p) in found
    ]
    squares = [0.0] * len(terms)
    for (k, _, _), square in zip(
        owned, summed([(local(x).double().square().sum(), p) for _, x, p in owned]), strict=True
    ):
        squares[k] += float(square)
    return [math.sqrt(square) for square in squares]


def _rows(
    terms: Sequence[Term],
    data: ById,
    pulls: Sequence[ById],
    plain: Sequence[ById],
    change: Sequence[ById],
    rates: Mapping[int, float] | None,
) -> list[dict[str, Any]]:
    """A row a term.

    Args:
        data: ∇ of the data loss, by id of the leaf; `pulls`, ∇R of each term.
        plain: the step without the penalty, for each term; `change`, what the penalty changes about it.
        rates: learning rates by id of the leaf; None where gradients stand for the step.
    """
    weights = [{id(p): p.detach() for p in t.leaves} for t in terms]
    norms = [_norms(terms, x) for x in ([data] * len(terms), pulls, plain, change, weights)]
    return [row_of(term, data, rates, *found) for term, *found in zip(terms, *norms, strict=True)]
