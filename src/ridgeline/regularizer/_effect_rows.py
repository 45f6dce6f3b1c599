"""A row of an effect: of norms of gradients and displacements, a verdict and a sentence."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from torch import Tensor

from ridgeline.regularizer._term import Term

Verdict: TypeAlias = Literal["dead", "negligible", "acting", "dominating"]
ById: TypeAlias = Mapping[int, Tensor]

# Of the weights' size, in one step: a hundred thousand such steps move them by 1 %.
NEGLIGIBLE = 1e-7
# Of the step's displacement.
DOMINATING = 0.9


def row_of(
    term: Term,
    data: ById,
    rates: Mapping[int, float] | None,
    loss: float,
    penalty: float,
    plain: float,
    by_penalty: float,
    size: float,
) -> dict[str, Any]:
    """A row.

    Args:
        rates: learning rates by id of the leaf; None where gradients stand for the step.
        loss: ‖∇ data loss‖; `penalty`, ‖∇R‖; `plain`, of the step without the penalty; `by_penalty`, of what the
            penalty changes about it; `size`, of the weights.
    """
    share = by_penalty / (by_penalty + plain) if by_penalty else 0.0
    relative = by_penalty / size if size else float("inf")
    one = "step" if rates is not None else "gradient"
    verdict: Verdict
    if not any(p.requires_grad for p in term.leaves):
        verdict, sentence = "dead", "frozen: nothing moves it"
    elif not math.isfinite(loss):
        verdict, sentence = (
            "negligible",
            "the data's gradient is infinite or NaN, so nothing is seen of the penalty",
        )
    elif by_penalty == 0:
        verdict, sentence = "dead", _why_dead(term, data, rates, penalty, size)
    elif relative < NEGLIGIBLE:
        verdict = "negligible"
        sentence = (
            f"a step moves it by {relative:.1g} of its size for the penalty: not by 1 % in 100,000 steps"
            if rates is not None
            else f"the penalty's gradient is {relative:.1g} of its size: at learning rate 1, not 1 % in 100,000 steps"
        )
    elif share > DOMINATING:
        why = f"the data hardly {'moves' if rates is not None else 'pulls'} it"
        why = why if loss else "the data's gradient is 0 at this moment"
        verdict, sentence = "dominating", f"nearly all of the {one} is the penalty's: {why}"
    else:
        what = "what the data moves" if rates is not None else "the data's gradient"
        verdict, sentence = "acting", f"the penalty is {by_penalty / plain:.2g} of {what}"
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


def _why_dead(term: Term, data: ById, rates: Mapping[int, float] | None, penalty: float, size: float) -> str:
    if penalty and term.mode != "loss" and not any(id(p) in data for p in term.leaves):
        return "the loss does not reach it, so the optimizer leaves it out, and its penalty too"
    if rates and not any(rates.get(id(p), 0.0) for p in term.leaves):
        return "the learning rate is 0 at this moment; ask again when it is not"
    if size == 0:
        return "all its weights are 0, where the penalty does not pull; it acts once the data moves them"
    if penalty == 0:
        return "the penalty's gradient is 0"
    return "what the penalty adds is lost in the rounding of the step"
