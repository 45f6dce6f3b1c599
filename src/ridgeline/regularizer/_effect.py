"""reg.effect(loss): how hard the penalty pulls at each tensor at this moment, beside the data."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from ridgeline.penalties import Penalty
from ridgeline.regularizer._data_gradients import data_gradients
from ridgeline.regularizer._hooks import Clock, StepHooks
from ridgeline.regularizer._sharded import like, local, summed
from ridgeline.regularizer._stand_in import stand_ins
from ridgeline.regularizer._table import Table
from ridgeline.regularizer._term import Term

Verdict: TypeAlias = Literal["dead", "negligible", "acting", "dominating"]
ById: TypeAlias = dict[int, Tensor]

# Of the weights' size, in one step: a hundred thousand such steps move them by 1 %.
NEGLIGIBLE = 1e-7
# Of the step's displacement.
DOMINATING = 0.9


@dataclass(frozen=True)
class Effect(Table):
    """How the penalty acts on each tensor at this moment.

    `rows` is a list of dicts with the keys name, mode, data_gradient and penalty_gradient (Euclidean norms),
    ratio (of the second to the first), share (of the penalty in the displacement of the next step, 0 to 1),
    verdict ("dead", "negligible", "acting", "dominating") and sentence. The share is
    ‖d_R‖/(‖d_R‖ + ‖d_L‖): d_L is the next step without the penalty, d_R what the penalty changes about it,
    both made by the optimizer itself on copies; without an optimizer, gradients stand for displacements.
    """

    @property
    def title(self) -> str:
        """How many tensors have which verdict."""
        kinds = [str(row["verdict"]) for row in self.rows]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        return f"The penalty at {len(kinds)} tensors: {counts}" if kinds else "No tensor is penalised"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return ("parameter", "‖∇ data loss‖ ", "‖∇ penalty‖ ", "ratio ", "share of step ", "what it means")

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
) -> Effect:
    """The effect at the weights as they are; weights, gradients and the optimizer's state stay so.

    Args:
        model: of which `loss` is; under DistributedDataParallel or fully_shard, every process must call.

    Raises:
        ValueError: for a loss without a graph, of several numbers, or with the penalty in it.
    """
    _check(loss)
    held = [p for t in terms for p in t.parameters()]
    if optimizer is not None:  # some optimizers look at all gradients at once
        held += [p for group in optimizer.param_groups for p in group["params"]]
    leaves = list({id(p): p for p in held if p.requires_grad}.values())
    data = data_gradients(loss, leaves, model)
    pulls = [_pull(t.at(clock.step), t) for t in terms]
    if optimizer is None or isinstance(optimizer, LBFGS):
        return Effect(_rows(terms, data, pulls, [data] * len(terms), pulls))
    plain = _displacement(optimizer, leaves, data, [], clock, metric)
    pushed = dict(data)
    for term, pull in zip(terms, pulls, strict=True):
        for key, grad in pull.items():
            if term.mode == "loss" or (term.effective and key in data):
                pushed[key] = pushed[key] + grad if key in pushed else grad
    whole = _displacement(optimizer, leaves, pushed, terms, clock, metric)
    change = {key: moved - plain[key] for key, moved in whole.items()}
    return Effect(_rows(terms, data, pulls, [plain] * len(terms), [change] * len(terms)))


def _check(loss: Tensor) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ValueError(
            "reg.effect() takes the data loss of one batch, a tensor of one number; pass it before backward()."
        )
    if not loss.requires_grad:
        raise ValueError(
            "reg.effect() needs the graph of the data loss: compute it without no_grad(), and do not detach it."
        )
    waiting, seen = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "_PenaltyBackward":
            raise ValueError(
                "reg.effect() takes the data loss alone, and this one contains reg.penalty(): pass "
                "criterion(model(x), y)."
            )
        waiting += [parent for parent, _ in node.next_functions]


def _pull(penalty: Penalty, term: Term) -> ById:
    """∇R by parameter."""
    if not term.effective:
        w = term.tensor()
        return {id(term.parameter): like(stand_ins([(penalty, w)])[0].gradient(local(w.detach())), w)}
    leaves = [p for p in term.leaves if p.requires_grad]
    with torch.enable_grad():
        grads = torch.autograd.grad(penalty.value(term.tensor()).sum(), leaves, allow_unused=True)
    return {id(p): g for p, g in zip(leaves, grads, strict=True) if g is not None}


def _displacement(
    optimizer: Optimizer,
    leaves: Sequence[Tensor],
    grads: Mapping[int, Tensor],
    terms: Sequence[Term],
    clock: Clock,
    metric: str,
) -> ById:
    """What one step moves, made on copies of the parameters and of the optimizer's state."""
    twins = {id(p): nn.Parameter(p.detach().clone()) for p in leaves}
    for key, grad in grads.items():
        twins[key].grad = grad.detach().clone()
    twin = copy.deepcopy(optimizer, dict(twins))  # with the parameters exchanged; hooks stay behind
    own = [
        replace(t, parameter=twins[id(t.parameter)], leaves=(twins[id(t.parameter)],))
        for t in terms
        if not t.effective and id(t.parameter) in twins
    ]
    hooks = StepHooks(twin, own, Clock(clock.step), metric, None)
    twin.step()
    hooks.remove()
    return {id(p): (twins[id(p)] - p).detach() for p in leaves}


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
    terms: Sequence[Term], data: ById, pulls: Sequence[ById], plain: Sequence[ById], change: Sequence[ById]
) -> list[dict[str, Any]]:
    weights = [{id(p): p.detach() for p in t.leaves} for t in terms]
    norms = [_norms(terms, x) for x in ([data] * len(terms), pulls, plain, change, weights)]
    return [_row(term, data, *found) for term, *found in zip(terms, *norms, strict=True)]


def _row(
    term: Term, data: ById, loss: float, penalty: float, plain: float, by_penalty: float, size: float
) -> dict[str, Any]:
    share = by_penalty / (by_penalty + plain) if by_penalty else 0.0
    relative = by_penalty / size if size else float("inf")
    if by_penalty == 0:
        verdict, sentence = "dead", _why_dead(term, data, penalty, size)
    elif relative < NEGLIGIBLE:
        verdict = "negligible"
        sentence = (
            f"a step moves it by {relative:.1g} of its size for the penalty: not by 1 % in 100,000 steps"
        )
    elif share > DOMINATING:
        why = "the data hardly moves it" if loss else "the data's gradient is 0 at this moment"
        verdict, sentence = "dominating", f"nearly all of the step is the penalty's: {why}"
    else:
        verdict, sentence = "acting", f"the penalty is {by_penalty / plain:.2g} of what the data moves"
    return {
        "name": term.name,
        "mode": term.mode,
        "data_gradient": loss,
        "penalty_gradient": penalty,
        "ratio": penalty / loss if loss else (float("inf") if penalty else 0.0),
        "share": share,
        "verdict": verdict,
        "sentence": sentence,
    }


def _why_dead(term: Term, data: ById, penalty: float, size: float) -> str:
    if not any(p.requires_grad for p in term.leaves):
        return "frozen: nothing moves it"
    if penalty and term.mode != "loss" and not any(id(p) in data for p in term.leaves):
        return "the loss does not reach it, so the optimizer leaves it out, and its penalty too"
    if size == 0:
        return "all its weights are 0, where the penalty does not pull; it acts once the data moves them"
    if penalty == 0:
        return "the penalty's gradient is 0"
    return "what the penalty adds is lost in the rounding of the step"
