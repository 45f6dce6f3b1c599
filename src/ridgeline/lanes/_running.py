"""What each lane was trained on since the last record."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# Updates that there is room for at first.
_ROOM = 128


class LaneRunning:
    """Means over examples in training mode, as a training loop prints them; one number a lane.

    The numbers of an update go into rows that are there: a small tensor kept from each update would tear
    holes into the memory that the next one reuses, and updates took twice as long.

    Args:
        rows: "losses", and "hits" but for a regression: [n, L] of n updates so far.
        sizes: their batch sizes.
    """

    def __init__(self, rows: Mapping[str, Tensor] | None = None, sizes: Sequence[int] = ()) -> None:
        self._rows, self.sizes = dict(rows or {}), list(sizes)

    def add(self, losses: Tensor, hits: Tensor | None, size: int) -> None:
        """A batch: mean losses (L,), how many of it were correct (L,), None for regression, and its size."""
        self._put("losses", losses)
        if hits is not None:
            self._put("hits", hits)
        self.sizes.append(size)

    def rows(self) -> dict[str, Tensor]:
        """What there is, [n, L] each."""
        return {name: room[: len(self.sizes)] for name, room in self._rows.items() if self.sizes}

    def take(self, lanes: int) -> dict[str, list[float | None]]:
        """The columns of a row, None where nothing was trained on; what comes later counts anew."""
        count, rows = sum(self.sizes), self.rows()
        row: dict[str, list[float | None]] = {
            "running_loss": [None] * lanes,
            "running_accuracy": [None] * lanes,
        }
        if count:
            weights = torch.tensor(self.sizes, dtype=torch.float64)
            # summed like solo's, lane by lane: the order of a sum may depend on how many there are
            sums = [each.double().cpu() @ weights for each in rows["losses"].T.contiguous()]
            row["running_loss"] = [float(each) / count for each in sums]
        if "hits" in rows:
            row["running_accuracy"] = (rows["hits"].sum(0).double() / count).tolist()
        self.sizes = []
        return row

    def chosen(self, index: Tensor) -> None:
        """Go on with these lanes only."""
        self._rows = {name: room[:, index.to(room.device)] for name, room in self._rows.items()}

    def _put(self, name: str, row: Tensor) -> None:
        at, room = len(self.sizes), self._rows.get(name)
        if room is None or at == len(room):
            grown = row.new_empty(max(_ROOM, 2 * at), len(row))
            if room is not None:
                grown[:at] = room
            self._rows[name] = room = grown
        room[at] = row
