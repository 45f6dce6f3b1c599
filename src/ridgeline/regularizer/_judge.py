"""The verdict on a strength, of displacements: plain numbers in, a word and a sentence out."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor

# Numbers taken of a process's shards, by name of the tensor, as those of the whole tensors.
Sums: TypeAlias = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

# By how much a difference must exceed that of two runs that should be equal.
ABOVE_NOISE = 3.0
# d log ‖D‖ / d log λ, from λ to 10 λ, D what the penalty changes: 1 in proportion, 0 where more strength
# changes nothing more. A tenth of proportional is a third more way for a hundredfold strength.
SATURATED = 0.1
# The penalty's displacement over the data's: nine tenths of the step are the penalty's.
DOMINATING = 9.0


@dataclass(frozen=True)
class Run:
    """Displacements of tensors, flat by name: after the first step, and after the last.

    Attributes:
        reached: which weights had a gradient in any of the steps; left out where that cannot be seen.
    """

    first: Mapping[str, Tensor]
    last: Mapping[str, Tensor]
    reached: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """Displacements over a few steps from one state, as norms.

    Attributes:
        by_data: ‖d₀‖.
        by_penalty: ‖d_s − d₀‖.
        noise: of runs that should be equal.
        tenfold: ‖d_10s − d₀‖.
        utmost: the largest of ‖d − d₀‖ at any strength, up to ten thousand times.
        lead: by_penalty over by_data, after the first step or after the last, which is more.
        without_data: the share of weights that the data does not reach; the others count, where there are any.
    """

    by_data: float
    by_penalty: float
    noise: float
    tenfold: float
    utmost: float
    lead: float
    without_data: float

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        plain: Run,
        again: Run,
        nudged: Run,
        found: Mapping[float, Run],
        sums: Sums = lambda numbers: numbers,
    ) -> "Measured":
        """From the runs of some tensors: without the penalty (three times), at 1, 10 and maybe 10⁴ times."""
        # Moments of earlier steps move weights that the data does not reach now.
        counted = {n: plain.reached[n] if n in plain.reached else plain.last[n] != 0 for n in names}
        counts = sums(
            {
                n: torch.stack([mask.sum(), torch.tensor(mask.numel(), device=mask.device)])
                for n, mask in counted.items()
            }
        )
        moved, total = (sum(int(count[k]) for count in counts.values()) for k in range(2))

        def norm(
            a: Mapping[str, Tensor], b: Mapping[str, Tensor] | None = None, part: bool = moved > 0
        ) -> float:
            squares = {}
            for n in names:
                d = a[n] if b is None else a[n] - b[n]
                d = d[counted[n]] if part else d  # Adam moves a weight without data by η, however weak λ
                squares[n] = d.double().square().sum()
            return math.sqrt(sum(map(float, sums(squares).values())))

        start, by_data = norm(plain.first), norm(plain.last)
        by_penalty = norm(found[1.0].last, plain.last)
        return cls(
            by_data=by_data,
            by_penalty=by_penalty,
            noise=max(norm(again.last, plain.last), norm(nudged.last, plain.last)),
            tenfold=norm(found[10.0].last, plain.last),
            utmost=max(norm(run.last, plain.last, part=False) for run in found.values()),
            lead=max(
                norm(found[1.0].first, plain.first) / start if start else math.inf,
                by_penalty / by_data if by_data else math.inf,
            ),
            without_data=1.0 - moved / total if total else 0.0,
        )

    @property
    def elasticity(self) -> float:
        """log₁₀ of how much further ten times the strength moves; 1 in proportion."""
        if not self.tenfold or not self.by_penalty:
            return math.nan
        return math.log10(self.tenfold / self.by_penalty)


def judge(m: Measured) -> dict[str, Any]:
    """A row: the numbers, the verdict and a sentence."""
    verdict, sentence = _verdict(m)
    if m.without_data > 0.01 and verdict not in ("dead", "negligible"):
        sentence += f"; the data leaves {m.without_data:.0%} of the weights alone"
    return {
        "by_data": m.by_data,
        "by_penalty": m.by_penalty,
        "noise": m.noise,
        "elasticity": m.elasticity,
        "share_without_data": m.without_data,
        "verdict": verdict,
        "sentence": sentence,
    }


def _verdict(m: Measured) -> tuple[str, str]:
    if m.utmost == 0:
        return "dead", "ten thousand times the strength moves nothing either"
    if m.by_penalty == 0 or m.by_penalty <= ABOVE_NOISE * m.noise:
        return "negligible", "what it changes is within the noise of repeated runs"
    if not math.isfinite(m.by_penalty):
        return "dominating", "the weights are no longer finite"
    if abs(m.elasticity) <= SATURATED:
        further = abs(m.tenfold / m.by_penalty - 1)
        return "saturated", f"ten times the strength moves only {further:.1%} further"
    if m.lead >= DOMINATING:
        times = f"{m.lead:.0f} times" if math.isfinite(m.lead) else "infinitely"
        return "dominating", f"it moves the weights {times} as far as the data does"
    said = f"it moves the weights {m.by_penalty / m.by_data:.2g} times as far as the data does"
    if m.elasticity < -SATURATED:
        said += "; ten times the strength throws them back and forth"
    return "acting", said
