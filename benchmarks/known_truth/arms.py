"""What a task is, and the arms that each of them trains."""

from dataclasses import dataclass

from benchmarks.known_truth.draws import fixed
from benchmarks.known_truth.sets import Sets
from ridgeline.lanes import LossName, OptimizerName, Schedule

# Every run has its test losses taken at these shares of its steps, in percent; the counts of points are such that
# the later ones are points of every curve.
STOPS = (1, 2, 3, 5, 7, *range(10, 101, 5))
_POINTS = (20, 20, 40, 40, 100, 100, 200, 200, 500, 1_000)


@dataclass(frozen=True)
class Arm:
    """One configuration of a task: how much of each regularizer, and what else differs from the base.

    Attributes:
        rate: the factor on the task's learning rate.
        smoothing: label smoothing.
    """

    l2: float = 0.0
    l1: float = 0.0
    dropout: float = 0.0
    rate: float = 1.0
    smoothing: float = 0.0

    @property
    def name(self) -> str:
        parts = [f"{key}={value:g}" for key, value in self.amounts.items() if value]
        parts += [f"lr×{self.rate:g}"] if self.rate != 1.0 else []
        parts += [f"smoothing={self.smoothing:g}"] if self.smoothing else []
        return " ".join(parts) or "base"

    @property
    def amounts(self) -> dict[str, float]:
        return {"l2": self.l2, "l1": self.l1, "dropout": self.dropout}

    @property
    def rest(self) -> str:
        """What must be equal for two arms to lie on one axis."""
        return f"{self.rate:g} {self.smoothing:g}"


@dataclass(frozen=True)
class Task:
    """Data, a model, and how it is trained; arms differ in strengths, learning rate and label smoothing.

    Attributes:
        steps: a multiple of 1,000, so that every count of points divides it, and every stop is whole.
        rates: factors on the learning rate of further arms, each alone and with two strengths of L2.
    """

    name: str
    sets: Sets
    hidden: tuple[int, ...] = (128,)
    loss: LossName = "cross_entropy"
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    momentum: float = 0.0
    batch: int = 64
    steps: int = 3_000
    schedule: str = "constant"
    l2: tuple[float, ...] = (3e-4, 3e-3, 1e-2, 5e-2, 0.2)
    l1: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    dropout: tuple[float, ...] = (0.2, 0.5, 0.7)
    rates: tuple[float, ...] = (0.1, 0.3, 3.0)
    network: str = "mlp"

    @property
    def seed(self) -> int:
        return fixed(self.name, 10_000)

    @property
    def learning(self) -> Schedule:
        return Schedule("cosine") if self.schedule == "cosine" else Schedule()

    @property
    def arms(self) -> list[Arm]:
        found = [Arm(), *(Arm(l2=s) for s in self.l2), *(Arm(l1=s) for s in self.l1)]
        if self.hidden:
            found += [Arm(dropout=rate) for rate in self.dropout]
        for rate in self.rates:
            found += [Arm(rate=rate), *(Arm(rate=rate, l2=s) for s in self.l2[2:4])]
        if self.loss == "cross_entropy":
            found += [Arm(smoothing=0.1), *(Arm(smoothing=0.1, l2=s) for s in self.l2[2:4])]
        return found

    def points(self, arm: Arm) -> int:
        """How many points the curve of an arm has after its start."""
        return _POINTS[fixed(f"{self.name}/{arm.name}/points", len(_POINTS))]
