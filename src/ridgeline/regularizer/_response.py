"""reg.response(step_fn): the same few steps at several strengths from one state, and what they show."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ridgeline.penalties import MaxNorm, Penalty, Schedule, Sum
from ridgeline.regularizer._judge import Measured, Run, judge
from ridgeline.regularizer._sharded import summed
from ridgeline.regularizer._table import Table
from ridgeline.regularizer._term import Term, is_zero, parts_of


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

    @property
    def overall(self) -> dict[float | str, str]:
        """The verdict over all tensors, by strength."""
        return {row["strength"]: row["verdict"] for row in self.rows if row["name"] == ALL}

    @property
    def title(self) -> str:
        """What was done."""
        return f"{self.steps} steps from one state, at each strength and ten times of it"

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


def check_response(strengths: Sequence[float] | None, steps: int) -> None:
    """Refuse what has no meaning.

    Raises:
        ValueError: for strengths that are not finite numbers above 0, or fewer steps than one.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"reg.response(): steps is {steps!r}; it must be a whole number ≥ 1.")
    if strengths is not None and (
        not len(strengths) or not all(0 < float(s) < float("inf") for s in strengths)
    ):
        raise ValueError(
            f"reg.response(): strengths are {list(strengths)}; give finite numbers above 0 (0 is always run), or "
            f"leave them out for the strengths as they are set."
        )


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

    plain, _ = run(_at(terms, 0.0, absolute=True), False)
    again, _ = run(_at(terms, 0.0, absolute=True), False)
    nudged, _ = run(_at(terms, 0.0, absolute=True), True)
    rows: list[dict[str, Any]] = []
    losses: dict[float | str, list[float]] = {}
    for strength in [AS_SET] if strengths is None else list(strengths):
        number = 1.0 if isinstance(strength, str) else strength
        found: dict[float, Run] = {}
        for times in (1.0, 10.0):
            found[times], seen = run(_at(terms, number * times, absolute=strengths is not None), False)
            losses.setdefault(strength, seen)
        different = sums({name: (found[10.0].last[name] != d).sum() for name, d in plain.last.items()})
        if not all(map(bool, different.values())):  # dead, or too weak to see
            found[1e4], _ = run(_at(terms, number * 1e4, absolute=strengths is not None), False)
        for name, members in {ALL: [t.name for t in terms], **{t.name: [t.name] for t in terms}}.items():
            measured = Measured.of(members, plain, again, nudged, found, sums)
            rows.append({"name": name, "strength": strength, **judge(measured)})
    return Response(rows, steps, losses)


def _at(terms: Sequence[Term], number: float, absolute: bool) -> list[Term]:
    return [replace(t, penalty=_with(t.penalty, number, absolute)) for t in terms]


def _with(penalty: Penalty, number: float, absolute: bool) -> Penalty:
    """The penalty with another strength, or with its own times a number; constraints stay."""
    if isinstance(penalty, Sum):
        if absolute and number and len([p for p in penalty.parts if not isinstance(p, MaxNorm)]) > 1:
            raise ValueError(
                f"reg.response() cannot give one strength to {penalty}: leave strengths out, and each part keeps "
                f"its own, times 1, 10."
            )
        return Sum([_with(part, number, absolute) for part in penalty.parts])
    if isinstance(penalty, MaxNorm):
        return penalty
    new: Any = number
    if not absolute:
        own: Any = getattr(penalty, "strength", None)
        new = (
            Schedule(_Times(own, number), f"{number:g} × {own}")
            if isinstance(own, Schedule)
            else own * number
        )
    changed: Penalty = penalty.with_strength(new)  # type: ignore[attr-defined]  # has a strength
    return changed


@dataclass(frozen=True)
class _Times:
    schedule: Schedule
    number: float

    def __call__(self, step: int) -> float:
        return self.number * self.schedule.at(step)
