"""What each lane was trained on since the last record."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class LaneRunning:
    """Means over examples in training mode, as a training loop prints them; one number a lane."""

    losses: list[Tensor] = field(default_factory=list)
    hits: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, losses: Tensor, hits: Tensor | None, size: int) -> None:
        """A batch: mean losses (L,), how many of it were correct (L,), None for regression, and its size."""
        self.losses.append(losses)
        self.sizes.append(size)
        if hits is not None:
            self.hits.append(hits)

    def take(self, lanes: int) -> dict[str, list[float | None]]:
        """The columns of a row, None where nothing was trained on; what comes later counts anew."""
        count = sum(self.sizes)
        row: dict[str, list[float | None]] = {
            "running_loss": [None] * lanes,
            "running_accuracy": [None] * lanes,
        }
        if count:
            weights = torch.tensor(self.sizes, dtype=torch.float64)
            # summed like solo's, lane by lane: the order of a sum may depend on how many there are
            sums = [(row.double().cpu() @ weights) for row in torch.stack(self.losses, 1).contiguous()]
            row["running_loss"] = [float(each) / count for each in sums]
        if self.hits:
            row["running_accuracy"] = (torch.stack(self.hits).sum(0).double() / count).tolist()
        self.losses, self.hits, self.sizes = [], [], []
        return row

    def chosen(self, index: Tensor) -> None:
        """Go on with these lanes only."""
        self.losses = [each[index] for each in self.losses]
        self.hits = [each[index] for each in self.hits]
