"""What a diagnosis answers: the kinds of verdict, and the verdict itself."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

# In the order in which they are tried; what each means: docs/verdicts.md.
Kind: TypeAlias = Literal[
    "diverged", "undertrained", "overfitting", "underfitting", "over_regularized", "well_fitted", "undecided"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Metric: TypeAlias = Literal["loss", "accuracy"]


def finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite: JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


@dataclass(frozen=True)
class Verdict:
    """A judgement of one arm's history.

    Attributes:
        kind: the first kind that the evidence carries.
        metric: what was judged: the loss where there is one, else accuracy.
        confidence: the share of resamples that give the same kind, in [0, 1]; None without resampling.
        evidence: sentences with figures, the decisive one first.
        advice: which knob, which way, and what to check first; may be empty.
        delta: what counts as a difference, in the metric's own unit.
        features: the numbers behind it, by name; None where a number is not defined.
        other: what the other metric says, where the log has both.
    """

    kind: Kind
    metric: Metric
    confidence: float | None
    evidence: tuple[str, ...]
    advice: tuple[str, ...]
    delta: float | None
    features: Mapping[str, float | None]
    other: "Verdict | None" = None

    def as_dict(self) -> dict[str, Any]:
        """Everything as JSON takes it; what is not finite is None."""
        found = {
            "kind": self.kind,
            "metric": self.metric,
            "confidence": self.confidence,
            "evidence": list(self.evidence),
            "advice": list(self.advice),
            "delta": self.delta,
            "features": dict(self.features),
            "other": None if self.other is None else self.other.as_dict(),
        }
        return {key: finite(value) for key, value in found.items()}

    def __str__(self) -> str:
        """The kind, the first sentence of evidence, and the first of advice."""
        sure = "" if self.confidence is None else f" ({self.confidence:.0%} of resamples)"
        return "\n".join(
            [f"{self.kind.replace('_', ' ')} by {self.metric}{sure}", *self.evidence[:1], *self.advice[:1]]
        )
