"""The optimizer of a pack: torch's fused kernels over lanes of equal settings, or one rule for all lanes.

Adam's rule for all lanes and its fused kernel differ in the last bit of few elements, so which is used is
fixed when the pack is made.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ridgeline.lanes import _lane_rules as rules
from ridgeline.lanes._lane_terms import Metric
from ridgeline.lanes._settings import Training
from ridgeline.lanes._stack import Layout, Slot

Rule: TypeAlias = Literal["grouped", "broadcast"]


def setting(training: Training) -> tuple[object, ...]:
    """What lanes of one fused call share; sort lanes by it."""
    t, s = training, training.schedule
    return (t.momentum, t.betas, t.alpha, t.eps, t.weight_decay, t.lr, s.name, s.warmup, s.every, s.gamma)


def rule_for(trainings: Sequence[Training]) -> Rule:
    """ "broadcast" where settings differ in more than a quarter of the lanes; SGD and RMSprop have no other rule."""
    groups = len({setting(t) for t in trainings})
    few = groups == 1 or 4 * groups <= len(trainings)
    return "grouped" if trainings[0].optimizer in ("adam", "adamw") and few else "broadcast"


def _square_decay(training: Training) -> float:
    """By how much the mean of squared gradients fades with each update."""
    return training.alpha if training.optimizer == "rmsprop" else training.betas[1]


class Updates:
    """The optimizer of a pack and its state: flat buffers in the layout of the weights.

    Attributes:
        count: updates made.
        state: by the names of torch: "momentum_buffer"; "square_avg"; "exp_avg" and "exp_avg_sq".
        views: the same by the parameters' names, [L, *shape].
    """

    def __init__(self, layout: Layout, trainings: Sequence[Training], rule: Rule) -> None:
        self.layout, self.rule, self.count = layout, rule, 0
        self.kind = trainings[0].optimizer
        self.nesterov = trainings[0].nesterov
        self.trainings = list(trainings)
        names = {"sgd": [], "rmsprop": ["square_avg"]}.get(self.kind, ["exp_avg", "exp_avg_sq"])
        if self.kind in ("sgd", "rmsprop") and any(t.momentum for t in trainings):
            names.append("momentum_buffer")
        self.state = {name: layout.empty(len(trainings)) for name in names}
        self._rates: Sequence[float] = []
        self._settle()

    def _settle(self) -> None:
        """Columns [L, 1] of what does not change from step to step."""
        ts = self.trainings
        self._rates = []
        self._rows: dict[str, tuple[Tensor, dict[Slot, Tensor]]] = {}
        self.views = {name: self.layout.views(flat, len(ts)) for name, flat in self.state.items()}
        self._fixed = {
            "decay": self._column([t.weight_decay for t in ts]),
            "momentum": self._column([t.momentum for t in ts]),
            "new": self._column([1.0 - t.betas[0] for t in ts]),
            "keep_square": self._column([_square_decay(t) for t in ts]),
            "new_square": self._column([1.0 - _square_decay(t) for t in ts]),
            "eps": self._column([t.eps for t in ts]),
        }
        self._decays = any(t.weight_decay for t in ts)
        ends = [len(list(members)) for _, members in groupby(ts, setting)]
        self._groups = list(pairwise(accumulate(ends, initial=0)))

    def _column(self, values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=self.layout.dtype, device=self.layout.device)[:, None]

    def chosen(self, index: Tensor) -> None:
        """Go on with these lanes only."""
        lanes = len(self.trainings)
        self.state = {name: self.layout.chosen(flat, lanes, index) for name, flat in self.state.items()}
        self.trainings = [self.trainings[i] for i in index.tolist()]
        self._settle()

    def begin(self, rates: Sequence[float]) -> None:
        """An update begins: the learning rate of each lane."""
        self.count += 1
        self._now = self._settings_of(rates) if self.rule == "broadcast" else {}
        self._rates = rates

    @torch.no_grad()
    def step(self, weights: Tensor, grads: Tensor, done: Collection[str] = ()) -> None:
        """One update of every lane, in place; the gradients may be overwritten.

        Args:
            weights, grads: flat buffers.
            done: parameters that were updated piece by piece.
        """
        slots = [slot for slot in self.layout.slots if slot.name not in done]
        if not slots:
            return
        if self.rule == "grouped":
            self._grouped(weights, grads, slots)
            return
        ws, gs = self._rows_of("weights", weights), self._rows_of("grads", grads)
        for slot in slots:
            state = {name: self._rows_of(name, flat)[slot] for name, flat in self.state.items()}
            self._broadcast(ws[slot], gs[slot], state, self._now)

    def _rows_of(self, name: str, flat: Tensor) -> Mapping[Slot, Tensor]:
        """The parameters' rows [L, n] in a flat buffer, which is the same from update to update."""
        if name not in self._rows or self._rows[name][0] is not flat:
            rows = {slot: self.layout.rows(flat, slot, len(self.trainings)) for slot in self.layout.slots}
            self._rows[name] = (flat, rows)
        return self._rows[name][1]

    @torch.no_grad()
    def piece(self, name: str, lane: int, rows: slice, w: Tensor, g: Tensor) -> None:
        """One update of these rows of one lane's matrix, [1, m, n]; to be called for all of them, before `step`."""
        own = {key: views[name][lane : lane + 1, rows] for key, views in self.views.items()}
        if self.rule == "grouped":
            lists = [[t] for t in (w, g, own["exp_avg"], own["exp_avg_sq"])]
            rules.fused_adam(lists, self.trainings[lane], self._rates[lane], self.count)
            return
        settings = {
            key: value[lane : lane + 1] if isinstance(value, Tensor) else value
            for key, value in self._now.items()
        }
        flat = {key: t.flatten(1) for key, t in own.items()}
        self._broadcast(w.flatten(1), g.flatten(1), flat, settings)

    def metric(self, rates: Sequence[float], kind: str) -> Metric:
        """1/H of each lane after its update, or 1/η where the metric is Euclidean."""
        if kind == "euclidean":
            return Metric(rates)
        steady = [rate / (1.0 - t.momentum) for rate, t in zip(rates, self.trainings, strict=True)]
        if self.kind == "sgd":
            return Metric(steady)
        if self.kind == "rmsprop":
            shifts = [t.eps for t in self.trainings]
            return Metric(steady, shifts, self.layout.views(self.state["square_avg"], len(self.trainings)))
        roots = [(1.0 - t.betas[1] ** self.count) ** 0.5 for t in self.trainings]
        tops = [rate * root for rate, root in zip(rates, roots, strict=True)]
        shifts = [t.eps * root for t, root in zip(self.trainings, roots, strict=True)]
        return Metric(tops, shifts, self.layout.views(self.state["exp_avg_sq"], len(self.trainings)))

    def _grouped(self, weights: Tensor, grads: Tensor, slots: Sequence[Slot]) -> None:
        buffers = (weights, grads, self.state["exp_avg"], self.state["exp_avg_sq"])
        lanes, whole = len(self.trainings), len(slots) == len(self.layout.slots)
        for first, end in self._groups:
            if whole and end - first == lanes:
                lists = [[flat] for flat in buffers]
            else:
                lists = [[self.layout.rows(f, s, lanes)[first:end] for s in slots] for f in buffers]
            rules.fused_adam(lists, self.trainings[first], self._rates[first], self.count)

    def _broadcast(
        self, w: Tensor, g: Tensor, state: Mapping[str, Tensor], settings: Mapping[str, Any]
    ) -> None:
        """Of one parameter: rows [L, n], and columns [L, 1] of settings."""
        given = dict(settings)
        shrink, decay = given.pop("shrink"), given.pop("decay")
        if shrink is not None:
            w.mul_(shrink)
        elif decay is not None:
            g.addcmul_(w, decay)
        if self.kind == "sgd":
            rules.sgd(w, g, state.get("momentum_buffer"), **given)
        elif self.kind == "rmsprop":
            rules.rmsprop(w, g, state["square_avg"], state.get("momentum_buffer"), **given)
        else:
            rules.adam(w, g, state["exp_avg"], state["exp_avg_sq"], **given)

    def _settings_of(self, rates: Sequence[float]) -> dict[str, Any]:
        """The arguments of the rule for this update, and the optimizer's own decay, where there is any."""
        ts, fixed = self.trainings, self._fixed
        if rates is not self._rates:
            self._rate = self._column([-rate for rate in rates])
        shrink = decay = None
        if self._decays and self.kind == "adamw":
            pairs = zip(rates, ts, strict=True)
            shrink = self._column([1.0 - rate * t.weight_decay for rate, t in pairs])
        elif self._decays:
            decay = fixed["decay"]
        own = {"shrink": shrink, "decay": decay}
        if self.kind == "sgd":
            common = {"rate": self._rate, "momentum": fixed["momentum"]}
            return {**own, **common, "first": self.count == 1, "nesterov": self.nesterov}
        own |= {name: fixed[name] for name in ("keep_square", "new_square", "eps")}
        if self.kind == "rmsprop":
            return {**own, "rate": self._rate, "momentum": fixed["momentum"]}
        corrections = {b: [1.0 - beta**self.count for beta in b] for b in {t.betas for t in ts}}
        steps = [-rate / corrections[t.betas][0] for rate, t in zip(rates, ts, strict=True)]
        roots = [corrections[t.betas][1] ** 0.5 for t in ts]
        return {**own, "rate": self._column(steps), "root": self._column(roots), "new": fixed["new"]}
