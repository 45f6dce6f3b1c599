"""reg.response(step_fn): the same few steps at several strengths from one state, and what they show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ridgeline.penalties import MaxNorm, parts_of
from ridgeline.regularizer._judge import judge
from ridgeline.regularizer._measured import Group, Run
from ridgeline.regularizer._sharded import summed
from ridgeline.regularizer._strengths import at_strength
from ridgeline.regularizer._table import Table
from ridgeline.regularizer._term import Term, is_zero


@dataclass(frozen=True)
class Response(Table):
    """What the strength changes about a few steps, by tensor and in all.

    `rows` is a list of dicts with the keys name ("all tensors" in the first of each strength), strength (a
    number, or "as set"), by_data (‖d₀‖, the displacement without the penalty), by_penalty (‖d_s − d₀‖), noise
    (the larger of what repeating the steps, and of what moving the weights by one unit in the last place,
    changes), elasticity (log₁₀ ‖d_10s − d₀‖/‖d_s − d₀‖: 1 where the strength acts in proportion, 0 where ten
    times of it move nothing further), share_without_data (of the weights that the data does not move; where some
    are moved by it, only those count), verdict and sentence. `losses` has what step_fn returned, by strength.
    Prints as a table; shows as HTML in a notebook.
    """

    steps: int = 0
    losses: dict[float | str, list[float]] = field(default_factory=dict)
    repeated: float = 0.0  # how far the steps without the penalty end elsewhere when repeated, of their way

    @property
    def overall(self) -> dict[float | str, str]:
        """The verdict over all tensors, by strength."""
        return {row["strength"]: row["verdict"] for row in self.rows if row["name"] == ALL}

    @property
    def title(self) -> str:
        """What was done."""
        said = (
            f"{self.steps} step{'s' * (self.steps > 1)} from one state, at each strength and ten times of it"
        )
        if self.repeated > 0.05:
            said += (
                f"; repeated, they end {self.repeated:.0%} of their way elsewhere, so step_fn depends on more than its "
                f"number and what can be set back, such as an iterator over batches"
            )
        return said

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns."""
        return ("parameter", "strength ", "by data ", "by penalty ", "noise ", "elasticity ", "what it means")

    def cells(self, row: dict[str, Any]) -> tuple[str, ...]:
        """One row of the table."""
        strength = row["strength"] if isinstance(row["strength"], str) else f"{row['strength']:g}"
        numbers = (f"{row[key]:.2g}" for key in ("by_data", "by_penalty", "noise", "elasticity"))
        return (row["name"], strength, *numbers, f"{row['verdict']}: {row['sentence']}")


ALL = "all tensors"
AS_SET = "as set"


def response_of(
    terms: Sequence[Term],
    run: Callable[[Sequence[Term], bool], tuple[Run, list[float]]],
    strengths: Sequence[float] | None,
    steps: int,
) -> Response:
    """The response, of a function that runs the steps.

    Args:
        run: (terms, nudged) -> the displacement of each tensor, and the losses; always from the same state,
            `nudged` with its weights moved by one unit in the last place.
        strengths: for every penalised tensor; None takes the strengths as they are set.

    Raises:
        ValueError: where there is nothing whose strength could change.
    """
    terms = [t for t in terms if not all(isinstance(part, MaxNorm) for part in parts_of(t.penalty))]
    terms = [t for t in terms if strengths is not None or not is_zero(t.penalty)]
    if not terms:
        raise ValueError("reg.response() has no strength to change: no tensor has a penalty above 0.")
    parameters = {t.name: t.parameter for t in terms}

    def sums(numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        totals = summed([(number, parameters[name]) for name, number in numbers.items()])
        return dict(zip(numbers, totals, strict=True))

    plain, _ = run(at_strength(terms, 0.0, absolute=True), False)
    nudged, _ = run(at_strength(terms, 0.0, absolute=True), True)
    members = {ALL: [t.name for t in terms], **{t.name: [t.name] for t in terms}}
    groups = {name: Group(names, plain, sums) for name, names in members.items()}
    measured = []
    losses: dict[float | str, list[float]] = {}
    for strength in [AS_SET] if strengths is None else list(strengths):
        number = 1.0 if isinstance(strength, str) else strength
        found: dict[float, Run] = {}
        for times in (1.0, 10.0):
            found[times], seen = run(
                at_strength(terms, number * times, absolute=strengths is not None), False
            )
            losses.setdefault(strength, seen)
        different = sums({name: (found[10.0].last[name] != d).sum() for name, d in plain.last.items()})
        if not all(map(bool, different.values())):  # dead, or too weak to see
            found[1e4], _ = run(at_strength(terms, number * 1e4, absolute=strengths is not None), False)
        measured += [(name, strength, group.measured(found)) for name, group in groups.items()]
    again, _ = run(at_strength(terms, 0.0, absolute=True), False)  # last, to see what drifts from run to run
    noise = {name: max(group.apart(again), group.apart(nudged)) for name, group in groups.items()}
    rows = [
        {"name": name, "strength": strength, **judge(replace(m, noise=noise[name]))}
        for name, strength, m in measured
    ]
    for row in rows:
        if row["name"] == ALL and row["verdict"] == "dead":
            row["sentence"] += _remedy(row["by_data"] == 0, any(t.mode == "loss" for t in terms))
    whole = groups[ALL]
    return Response(rows, steps, losses, whole.apart(again) / whole.by_data if whole.by_data else 0.0)


def _remedy(still: bool, in_loss: bool) -> str:
    if still:
        return "; does step_fn reach optimizer.step(), at a learning rate above 0?"
    return "; does step_fn add reg.penalty() to the loss?" if in_loss else ""
