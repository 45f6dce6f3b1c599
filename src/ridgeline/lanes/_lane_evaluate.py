"""Evaluation of a pack: every lane over its own sets, in evaluation mode, in pieces that fit the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ridgeline.lanes._evaluate import Evaluation, piece_size
from ridgeline.lanes._feed import LaneSet
from ridgeline.lanes._lane_loss import corrects, losses_by_example
from ridgeline.lanes._pass import Layer, Pass
from ridgeline.lanes._settings import LossName
from ridgeline.lanes._stack import Layout
from ridgeline.lanes._turns import slices

# Numbers that one piece of an evaluation may read, or compute on its way: 32 MB of float32.
_PIECE = 1 << 23
# And those of one lane: 32 MB, but no fewer examples than fill a product.
_EXAMPLES, _FEW = 1 << 23, 64
# Numbers whose squares are added up in float32, and a sum of squares below which some may be lost to it.
_BLOCK, _TINY = 1024, 1e-24


@dataclass(frozen=True)
class View:
    """Examples of every lane: a whole set, or the rows (m,) or (L, m) of it."""

    examples: LaneSet
    rows: Tensor | None = None

    def __len__(self) -> int:
        return self.examples.size if self.rows is None else self.rows.shape[-1]

    def piece(self, begin: int, end: int, first: int, last: int) -> tuple[Tensor, Tensor]:
        """Examples begin…end of the lanes first…last."""
        if self.rows is None:
            return self.examples.part(begin, end, first, last)
        return self.examples.read(self.rows[..., begin:end], first, last)


@dataclass(frozen=True)
class LaneEvaluations:
    """Data loss (L, n) of every example of every lane, and correctness (L, n) for classification, on the CPU."""

    losses: Tensor
    correct: Tensor | None

    def means(self) -> tuple[list[float], list[float | None]]:
        """Mean loss and share of correct examples of each lane."""
        losses: list[float] = self.losses.double().mean(1).tolist()
        if self.correct is None:
            return losses, [None] * len(losses)
        return losses, self.correct.double().mean(1).tolist()

    def of(self, lanes: Tensor) -> Self:
        """A copy of what these lanes have."""
        hits = None if self.correct is None else self.correct[lanes]
        return replace(self, losses=self.losses[lanes], correct=hits)

    def put(self, lanes: Tensor, other: Self) -> None:
        """Take over what these lanes have there."""
        self.losses[lanes] = other.losses[lanes]
        if self.correct is not None and other.correct is not None:
            self.correct[lanes] = other.correct[lanes]

    def lane(self, place: int) -> Evaluation:
        """What solo keeps of one lane."""
        return Evaluation(
            self.losses[place].clone(), None if self.correct is None else self.correct[place].clone()
        )


@torch.no_grad()
def evaluate_lanes(
    layer: Layer, weights: Mapping[str, Tensor], view: View, loss: LossName, lanes: int, numbers: int
) -> LaneEvaluations:
    """Data loss and correctness of each example of each lane, without penalty, dropout or label smoothing.

    Args:
        numbers: that a forward pass reads and computes for one example.
    """
    device = view.examples.x.device
    size = piece_size(
        len(view), view.examples.x[0].numel(), device
    )  # a lane's rounding depends on nothing else
    if device.type == "cpu":
        size = min(size, max(_FEW, _EXAMPLES // numbers))
    most = max(1, _PIECE // (size * max(numbers, 256)))
    rows = []
    for first, last in slices(lanes, most):
        here = Pass({name: w[first:last] for name, w in weights.items()}, training=False)
        losses, hits = [], []
        for begin in range(0, len(view), size):
            x, y = view.piece(begin, min(begin + size, len(view)), first, last)
            output = layer(here, x)
            losses.append(losses_by_example(loss, output, y))
            if loss == "cross_entropy":
                hits.append(corrects(output, y))
        rows.append((torch.cat(losses, 1).cpu(), torch.cat(hits, 1).cpu() if hits else None))
    hit_rows = [hit for _, hit in rows if hit is not None]
    return LaneEvaluations(torch.cat([row for row, _ in rows]), torch.cat(hit_rows) if hit_rows else None)


@torch.no_grad()
def weight_facts(layout: Layout, flat: Tensor, lanes: int) -> dict[str, list[float]]:
    """‖w‖₂ and the share of exact zeros of each lane, over tensors of two and more dimensions."""
    squares = torch.zeros(lanes, dtype=torch.float64, device=flat.device)
    zeros = torch.zeros(lanes, dtype=torch.int64, device=flat.device)
    slots = [slot for slot in layout.slots if len(slot.shape) >= 2]
    for slot in slots:
        rows = layout.rows(flat, slot, lanes)[:, : slot.size]
        squares += _squares(rows)
        if slot.size < _BLOCK or flat.device.type != "cpu":
            zeros += slot.size - torch.count_nonzero(rows, 1)
        else:  # there torch counts all of a tensor ten times as fast as row by row
            zeros += slot.size - torch.stack([torch.count_nonzero(row) for row in rows])
    count = sum(slot.size for slot in slots)
    share = zeros.double() / count if count else zeros.double()
    return {"weight_norm": squares.sqrt().tolist(), "zero_share": share.tolist()}


def _squares(rows: Tensor) -> Tensor:
    """Σw² of each row in float64; on a CPU from norms of short pieces, in a tenth of the time.

    A row of numbers whose squares float32 cannot hold, or of no numbers, is squared in float64, by itself.
    """
    whole = rows.shape[1] // _BLOCK * _BLOCK
    if not whole or rows.dtype is not torch.float32 or rows.device.type != "cpu":
        return _exact_squares(rows)
    pieces = torch.linalg.vector_norm(rows[:, :whole].unflatten(1, (-1, _BLOCK)), dim=2)
    found: Tensor = pieces.double().square().sum(1) + _exact_squares(rows[:, whole:])
    for lane in (~(found.isfinite() & (found > _TINY))).nonzero().flatten().tolist():
        found[lane] = _exact_squares(rows[lane : lane + 1])[0]
    return found


def _exact_squares(rows: Tensor) -> Tensor:
    found: Tensor = torch.linalg.vector_norm(rows, dim=1, dtype=torch.float64).square()
    return found
