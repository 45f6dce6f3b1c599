"""One lane of a pack: what is kept of a trial beside its place in the stacked memory."""

import math
from dataclasses import dataclass, field

from ridgeline.lanes._history import History
from ridgeline.lanes._patience import Patience
from ridgeline.lanes._program import Program


@dataclass
class Lane:
    """A trial while it trains beside others.

    Attributes:
        place: its number among the programs of the pack; None for a pad, which keeps company only.
    """

    place: int | None
    program: Program
    history: History = field(default_factory=History)
    best_loss: float = math.inf
    best_step: int = 0
    diverged: bool = False
    stopped: bool = False

    def __post_init__(self) -> None:
        stopping = self.program.training.early_stopping
        self.patience = None if stopping is None else Patience(stopping)

    @property
    def leaves(self) -> bool:
        """Whether it trains no further."""
        return self.diverged or self.stopped

    def record(self, row: dict[str, float | None], finite: bool, step: int) -> bool:
        """Add a row to the history; returns whether these are the best weights so far."""
        self.history.record(row)
        self.diverged = not finite
        if self.diverged:
            return False
        if self.patience is not None:
            # the start is the first evaluation to improve on, and stops nothing
            self.stopped = self.patience.stop(row) and step > 0
        loss = row["val_loss"]
        assert loss is not None
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
            return True
        return False
