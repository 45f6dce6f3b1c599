"""One lane of a pack: what is kept of a trial beside its place in the stacked memory."""

import math
from collections.abc import Mapping, Sequence
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

    def judge(self, seen: Mapping[str, Sequence[float | None]], at: int, finite: bool, step: int) -> bool:
        """Take note of an evaluation; returns whether these are the best weights so far.

        Args:
            seen: columns with one value a lane.
            at: the lane's place in them.
        """
        self.diverged = not finite
        if self.diverged:
            return False
        if self.patience is not None:
            # the start is the first evaluation to improve on, and stops nothing
            self.stopped = self.patience.stop(seen[self.patience.settings.monitor][at]) and step > 0
        loss = seen["val_loss"][at]
        assert loss is not None
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
            return True
        return False
