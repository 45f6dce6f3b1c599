"""How far tensors moved in a few steps, with the penalty and without: norms of displacements."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

# Numbers taken of a process's shards, by name of the tensor, as those of the whole tensors.
Sums: TypeAlias = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


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
        first: by_penalty over by_data after the first step alone; 0 where that step moves nothing without the
            penalty, as at a learning rate of 0, or where an overflow was skipped.
        without_data: the share of weights that the data does not reach; the others count, where there are any.
    """

    by_data: float
    by_penalty: float
    noise: float
    tenfold: float
    utmost: float
    first: float
    without_data: float

    @property
    def overall(self) -> float:
        """by_penalty over by_data."""
        return self.by_penalty / self.by_data if self.by_data else math.inf

    @property
    def elasticity(self) -> float:
        """log₁₀ of how much further ten times the strength moves; 1 in proportion."""
        if not self.tenfold or not self.by_penalty:
            return math.nan
        return math.log10(self.tenfold / self.by_penalty)


class Group:
    """Tensors that are judged together, and their displacements without the penalty."""

    def __init__(self, names: Sequence[str], plain: Run, sums: Sums = lambda numbers: numbers) -> None:
        self._names, self._plain, self._sums = names, plain, sums
        # Moments of earlier steps move weights that the data does not reach now.
        self._counted = {n: plain.reached[n] if n in plain.reached else plain.last[n] != 0 for n in names}
        counts = sums(
            {
                n: torch.stack([mask.sum(), torch.tensor(mask.numel(), device=mask.device)])
                for n, mask in self._counted.items()
            }
        )
        self._moved, self._total = (sum(int(count[k]) for count in counts.values()) for k in range(2))
        self.start, self.by_data = self._norm(plain.first), self._norm(plain.last)

    def measured(self, found: Mapping[float, Run]) -> Measured:
        """From the runs at 1, 10 and maybe 10⁴ times a strength; the noise is known when all are done."""
        plain = self._plain
        first = self._norm(found[1.0].first, plain.first)
        return Measured(
            by_data=self.by_data,
            by_penalty=self.apart(found[1.0]),
            noise=0.0,
            tenfold=self.apart(found[10.0]),
            utmost=max(self._norm(run.last, plain.last, part=False) for run in found.values()),
            first=first / self.start if self.start else 0.0,
            without_data=1.0 - self._moved / self._total if self._total else 0.0,
        )

    def apart(self, other: Run) -> float:
        """How far another run ends from the one without the penalty."""
        return self._norm(other.last, self._plain.last)

    def _norm(
        self, a: Mapping[str, Tensor], b: Mapping[str, Tensor] | None = None, part: bool = True
    ) -> float:
        squares = {}
        for n in self._names:
            d = a[n] if b is None else a[n] - b[n]
            if part and self._moved:  # Adam moves a weight without data by η, however weak λ
                d = d[self._counted[n]]
            squares[n] = d.double().square().sum()
        return math.sqrt(sum(map(float, self._sums(squares).values())))
