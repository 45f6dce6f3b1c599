"""Updates of large weights piece by piece, each as soon as its piece of the gradient is there: in the cache still.

No bit differs from an update after the backward pass; the memory's bandwidth is spared a gradient written and
read again, half of what an update moves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ridgeline.lanes._lane_terms import LaneTerm, add_gradients, chosen
from ridgeline.lanes._links import parameters_of
from ridgeline.lanes._pass import Layer
from ridgeline.lanes._stack import ROW, Layout
from ridgeline.lanes._updates import Updates
from ridgeline.penalties import L1, L2, parts_of
from ridgeline.select import Mode

# Modes whose terms are a part of the gradient; those of "proximal" act when all weights are updated.
_IN_THE_GRADIENT: tuple[Mode, ...] = ("loss", "coupled")


class Early:
    """What updates one lane's weights, or rows of them, by their gradient.

    Attributes:
        done: the parameters that it has updated in this update; whoever begins one clears it.
    """

    def __init__(
        self,
        names: Sequence[str],
        weights: Mapping[str, Tensor],
        updates: Updates,
        terms: Sequence[LaneTerm],
    ) -> None:
        self._weights, self._updates = {name: weights[name] for name in names}, updates
        self._all_terms = terms
        self._terms: dict[tuple[str, int], list[LaneTerm]] = {}
        self.done: set[str] = set()

    def takes(self, name: str) -> bool:
        """Whether it updates this parameter."""
        return name in self._weights

    def update(self, name: str, lane: int, rows: slice, g: Tensor) -> None:
        """One update of these rows; the gradient is overwritten."""
        w = self._weights[name][lane : lane + 1, rows]
        for mode in _IN_THE_GRADIENT:
            add_gradients(self._terms_of(name, lane), mode, {name: w}, {name: g[None]})
        self._updates.piece(name, lane, rows, w, g[None])
        self.done.add(name)

    def _terms_of(self, name: str, lane: int) -> list[LaneTerm]:
        """One lane's own, which are made when they are first needed."""
        if (name, lane) not in self._terms:
            own = [term for term in self._all_terms if term.name == name]
            self._terms[name, lane] = chosen(own, torch.tensor([lane]))
        return self._terms[name, lane]


def early_names(layer: Layer, layout: Layout, terms: Sequence[LaneTerm]) -> list[str]:
    """The parameters that may be updated early.

    They are matrices of whole vectors, which a layer whose gradients are taken by hand reads, and no other; and
    what their penalties do, they do to single elements, in the gradient or after the update.
    """
    uses = Counter(parameters_of(layer))
    matrices = [slot.name for slot in layout.slots if len(slot.shape) == 2 and slot.size % ROW == 0]
    barred = {term.name for term in terms if not _late_or_elementwise(term)}
    return [name for name in matrices if uses[name] == 1 and name not in barred]


def _late_or_elementwise(term: LaneTerm) -> bool:
    if term.mode == "proximal":
        return True
    # a mean is over the whole tensor, of which a piece does not know
    single = [isinstance(part, L1 | L2) and part.reduction == "sum" for part in parts_of(term.penalty)]
    return term.mode in _IN_THE_GRADIENT and all(single)
