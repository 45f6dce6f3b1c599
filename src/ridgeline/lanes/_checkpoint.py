"""Checkpoints of a pack: all that its lanes have become, as tensors and plain facts, and the way back.

What follows from a program and its seed is not kept: data, orders, masks, penalties, the weights at the start.
A lane's arithmetic depends on no other lane, so a pack of some of a checkpoint's lanes goes on as all would.

Letters in shapes: L lanes, C columns of a history, T its rows, n updates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ridgeline.errors import RidgelineError
from ridgeline.lanes._history import History
from ridgeline.lanes._lane import Lane
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._running import LaneRunning
from ridgeline.lanes._stacking import Stacking


class ForeignCheckpointError(RidgelineError):
    """Why a checkpoint is none of a pack's."""


@dataclass(frozen=True)
class Checkpoint:
    """A pack between two updates.

    Attributes:
        tensors: flat buffers of the weights, of those of the best step and of the optimizer; what is kept
            beside them, [L, *shape]; histories [L, C, T]; what was trained on since the last record, [L, n].
        facts: numbers and names, as JSON can hold them.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    @property
    def lanes(self) -> list[str]:
        """The names of its lanes, in the order of axis 0."""
        names: list[str] = self.facts["lanes"]
        return names

    @property
    def step(self) -> int:
        """Updates made."""
        return int(self.facts["step"])


def checkpoint_of(pack: Pack, names: Sequence[str]) -> Checkpoint:
    """The pack as it is; later updates change what it holds, so it is written before them.

    Args:
        names: of the lane of each program, by its place.
    """
    state, count = pack.state, len(pack.lanes)
    real = [i for i, lane in enumerate(pack.lanes) if lane.place is not None]
    lanes = [pack.lanes[i] for i in real]
    index = torch.tensor(real)
    tensors = {
        # a pad is left out; where there is none, the buffers need no copy
        name: flat if len(real) == count else state.layout.chosen(flat, count, index.to(flat.device))
        for name, flat in _flat(state).items()
    }
    tensors |= {name: t[: len(real)] for name, t in _kept(state).items()}
    tensors["history"] = torch.tensor([_table(lane.history) for lane in lanes], dtype=torch.float64)
    for name, rows in pack.running.rows().items():
        tensors[f"running/{name}"] = rows.T[index.to(rows.device)]
    columns = lanes[0].history.columns
    facts = {
        "lanes": [names[lane.place] for lane in lanes if lane.place is not None],
        "step": pack.step,
        "updates": state.updates.count,
        "seconds": pack.seconds,
        "parameters": _parameters(state),
        "columns": list(columns),
        "whole": [name for name, values in columns.items() if isinstance(values[0], int)],
        "running": list(pack.running.sizes),
        "own": [_own(lane) for lane in lanes],
    }
    return Checkpoint({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, facts)


def restore(pack: Pack, found: Checkpoint, names: Sequence[str]) -> None:
    """Put a pack that stands at its start where the checkpoint was taken.

    Args:
        names: of the lane of each program, by its place; the checkpoint may hold further lanes.

    Raises:
        ForeignCheckpointError: where lanes are missing, or the model or the optimizer is another one.
    """
    state, facts = pack.state, found.facts
    first = pack.lanes[0].place
    places = [first if lane.place is None else lane.place for lane in pack.lanes]  # a pad is its neighbour
    wanted = [names[place] for place in places if place is not None]
    missing = [name for name in wanted if name not in found.lanes]
    if missing:
        raise ForeignCheckpointError(f"it holds no lane {missing[0]}")
    flats, kept = _flat(state), _kept(state)
    stacked = {*flats, *kept}
    if facts["parameters"] != _parameters(state):
        raise ForeignCheckpointError("its parameters have other names or shapes")
    there = {name for name in found.tensors if name != "history" and not name.startswith("running/")}
    if there != stacked or any(found.tensors[n].dtype != t.dtype for n, t in {**flats, **kept}.items()):
        raise ForeignCheckpointError("its optimizer or its buffers are others")
    index = torch.tensor([found.lanes.index(name) for name in wanted])
    for name, flat in flats.items():
        flat.copy_(state.layout.chosen(found.tensors[name], len(found.lanes), index))
    for name, t in kept.items():
        t.copy_(found.tensors[name][index])
    pack.step, state.updates.count, pack.spent = found.step, int(facts["updates"]), float(facts["seconds"])
    running = {
        name: found.tensors[f"running/{name}"][index].T.to(pack.device)
        for name in ("losses", "hits")
        if f"running/{name}" in found.tensors
    }
    pack.running = LaneRunning(running, facts["running"])
    for lane, row in zip(pack.lanes, index.tolist(), strict=True):
        if lane.place is not None:
            table = found.tensors["history"][row].tolist()
            lane.history = History(_columns(table, facts["columns"], facts["whole"]))
            _take_own(lane, facts["own"][row])


def _flat(state: Stacking) -> dict[str, Tensor]:
    """The flat buffers by name."""
    own = {f"optimizer/{name}": flat for name, flat in state.updates.state.items()}
    return {"weights": state.weights, "best": state.best, **own}


def _kept(state: Stacking) -> dict[str, Tensor]:
    """What has a lanes axis beside the flat buffers, by name: frozen parameters and buffers."""
    both = (("kept", state.kept), ("best_kept", state.best_kept))
    return {f"{kind}/{name}": t for kind, tensors in both for name, t in tensors.items()}


def _parameters(state: Stacking) -> list[list[Any]]:
    trained = [[slot.name, list(slot.shape)] for slot in state.layout.slots]
    return trained + [[name, list(t.shape[1:])] for name, t in state.kept.items()]


def _table(history: History) -> list[list[float]]:
    """[C, T]; a history holds finite numbers and None, which is NaN here."""
    return [[math.nan if v is None else float(v) for v in column] for column in history.columns.values()]


def _columns(
    table: list[list[float]], names: Sequence[str], whole: Sequence[str]
) -> dict[str, list[float | None]]:
    def value(name: str, v: float) -> float | None:
        return None if math.isnan(v) else int(v) if name in whole else v

    return {name: [value(name, v) for v in column] for name, column in zip(names, table, strict=True)}


def _own(lane: Lane) -> dict[str, Any]:
    waiting = None if lane.patience is None else [lane.patience.lowest, lane.patience.waited]
    return {
        "best_loss": lane.best_loss,
        "best_step": lane.best_step,
        "diverged": lane.diverged,
        "patience": waiting,
    }


def _take_own(lane: Lane, own: dict[str, Any]) -> None:
    lane.best_loss, lane.best_step, lane.diverged = own["best_loss"], own["best_step"], own["diverged"]
    if lane.patience is not None:
        lane.patience.lowest, lane.patience.waited = own["patience"]
