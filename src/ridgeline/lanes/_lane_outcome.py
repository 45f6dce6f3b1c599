"""The outcomes of the lanes that leave a pack, as solo writes them."""

from collections.abc import Iterator, Sequence
from contextlib import closing

import torch
from torch import nn

from ridgeline.lanes._judged import Judged
from ridgeline.lanes._lane import Lane
from ridgeline.lanes._lane_evaluate import LaneEvaluations, View, evaluate_lanes
from ridgeline.lanes._optimizer import build_optimizer
from ridgeline.lanes._outcome import Outcome
from ridgeline.lanes._program import Program
from ridgeline.lanes._settings import LossName
from ridgeline.lanes._stacking import Stacking
from ridgeline.penalties import L2SP, parts_of
from ridgeline.regularizer import Regularizer, regularize


def outcomes_of(
    state: Stacking,
    lanes: Sequence[Lane],
    gone: Sequence[int],
    step: int,
    loss: LossName,
    seconds: float,
    judged: Judged,
) -> Iterator[tuple[int, Outcome]]:
    """The place and the outcome of each lane that leaves, but for pads.

    Args:
        gone: their numbers among the lanes.
        judged: the evaluations that were made for the curve, the last of them at this step.
        seconds: a lane's share of the pack's time.
    """
    real = [i for i in gone if lanes[i].place is not None]
    if not real:
        return
    last = _whole(state, real, loss, judged, best=False)
    late = [i for i in real if not lanes[i].diverged and lanes[i].best_step != step]
    best = _whole(state, late, loss, judged, best=True) if late else {}
    with closing(_Audits(state.template)) as audits:
        for i in real:
            lane = lanes[i]
            assert lane.place is not None
            found = {name: each.lane(real.index(i)) for name, each in last.items()}
            kept = {name: each.lane(late.index(i)) for name, each in best.items()} if i in late else found
            weights = state.state_dict(i, best=False)
            state.template.load_state_dict(state.state_dict(i, best=True) if i in late else weights)
            yield (
                lane.place,
                Outcome(
                    status="diverged" if lane.diverged else "done",
                    steps=step,
                    seconds=seconds,
                    best_step=None if lane.diverged else lane.best_step,
                    curves=lane.history.columns,
                    last={} if lane.diverged else found,
                    best={} if lane.diverged else kept,
                    weights=weights,
                    audit=audits.rows(lane.program),
                ),
            )


def _whole(
    state: Stacking, places: list[int], loss: LossName, judged: Judged, best: bool
) -> dict[str, LaneEvaluations]:
    """The whole sets, over the last or the best weights of these lanes; one lane gets company."""
    found = judged.of(places, best)
    missing = {name: each for name, each in state.sets.items() if name not in found}
    if missing:
        index = torch.tensor(places if len(places) > 1 else places * 2)
        tensors = state.tensors_of(index, best)
        for name, each in missing.items():
            view = View(each.of(index))
            found[name] = evaluate_lanes(state.layer, tensors, view, loss, len(index), state.numbers)
    return {name: found[name] for name in state.sets}


class _Audits:
    """Audits of a model whose weights change, under the rules of one program after the other.

    Programs of one arm have equal rules: a regularizer is made for the first, and reads the weights anew.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._last: tuple[Program, Regularizer] | None = None

    def rows(self, program: Program) -> list[dict[str, object]]:
        """The audit as it stands, and all that `regularize` refuses."""
        if not program.rules:
            return []
        if self._last is None or not _alike(self._last[0], program):
            optimizer = build_optimizer(self._model, program.training)
            self.close()
            self._last = (
                program,
                regularize(self._model, program.rules, optimizer=optimizer, metric=program.metric),
            )
        rows: list[dict[str, object]] = self._last[1].audit().rows
        return rows

    def close(self) -> None:
        """Leave the model as it was."""
        if self._last is not None:
            self._last[1].remove()
            self._last = None


def _alike(a: Program, b: Program) -> bool:
    """Whether a regularizer of one serves the other; one that returns to weights keeps those of its start."""
    kinds = {type(part) for rule in a.rules if rule.penalty for part in parts_of(rule.penalty)}
    equal = (list(a.rules), a.training, a.metric) == (list(b.rules), b.training, b.metric)
    return equal and L2SP not in kinds
