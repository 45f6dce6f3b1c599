"""The evaluations of whole sets that were made for the curve: what is asked for at the end is not made twice."""

from collections.abc import Mapping, Sequence

import torch

from ridgeline.lanes._lane_evaluate import LaneEvaluations


class Judged:
    """Those of the last record, and those of each lane's best step.

    After a pack has gone on from a checkpoint the best ones are known of lanes that improved since.
    """

    def __init__(self) -> None:
        self._last: dict[str, LaneEvaluations] = {}
        self._best: dict[str, LaneEvaluations] = {}
        self._known: set[int] = set()

    def record(self, found: Mapping[str, LaneEvaluations], better: Sequence[int]) -> None:
        """Take note of evaluations of all lanes.

        Args:
            better: the lanes whose best step this is.
        """
        self._last = dict(found)
        index = torch.tensor(list(better), dtype=torch.int64)
        for name, each in found.items():
            if name not in self._best or len(better) == len(each.losses):
                self._best[name] = each  # what is put into it later finds another one to be the last
            elif better:
                self._best[name].put(index, each)
        self._known.update(better)

    def of(self, lanes: Sequence[int], best: bool) -> dict[str, LaneEvaluations]:
        """What is known of all these lanes, by the name of the set."""
        if best and not self._known.issuperset(lanes):
            return {}
        index = torch.tensor(list(lanes))
        return {name: each.of(index) for name, each in (self._best if best else self._last).items()}

    def choose(self, index: torch.Tensor) -> None:
        """Go on with these lanes only."""
        self._last = {name: each.of(index) for name, each in self._last.items()}
        self._best = {name: each.of(index) for name, each in self._best.items()}
        self._known = {place for place, lane in enumerate(index.tolist()) if lane in self._known}
