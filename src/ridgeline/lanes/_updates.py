"""The optimizer of a pack: torch's fused kernels over lanes of equal settings, or one rule for all lanes.

Adam's rule for all lanes and its fused kernel differ in the last bit of few elements, so which is used is
fixed when the pack is made.
"""

from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ridgeline.lanes import _lane_rules as rules
from ridgeline.lanes._lane_terms import Metric
from ridgeline.lanes._settings import Training
from ridgeline.lanes._stack import Layout

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
        self._settle()

    def _settle(self) -> None:
        """Columns [L, 1] of what does not change from step to step."""
        ts = self.trainings
        self._rates: Sequence[float] = []
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

    @torch.no_grad()
    def step(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        """One update of every lane, in place; the gradients may be overwritten.

        Args:
            weights, grads: flat buffers.
            rates: the learning rate of each lane.
        """
        self.count += 1
        if self.rule == "grouped":
            self._grouped(weights, grads, rates)
        else:
            self._broadcast(weights, grads, rates)

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

    def _grouped(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        buffers = (weights, grads, self.state["exp_avg"], self.state["exp_avg_sq"])
        lanes = len(self.trainings)
        for first, end in self._groups:
            if end - first == lanes:
                lists = [[flat] for flat in buffers]
            else:
                lists = [
                    [self.layout.rows(f, s, lanes)[first:end] for s in self.layout.slots] for f in buffers
                ]
            rules.fused_adam(lists, self.trainings[first], rates[first], self.count)

    def _broadcast(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        lanes, fixed, settings, shrink = len(self.trainings), self._fixed, self._settings_of(rates), None
        if self._decays and self.kind == "adamw":
            pairs = zip(rates, self.trainings, strict=True)
            shrink = self._column([1.0 - rate * t.weight_decay for rate, t in pairs])
        for slot in self.layout.slots:
            w, g = self.layout.rows(weights, slot, lanes), self.layout.rows(grads, slot, lanes)
            state = {name: self.layout.rows(flat, slot, lanes) for name, flat in self.state.items()}
            if shrink is not None:
                w.mul_(shrink)
            elif self._decays:
                g.addcmul_(w, fixed["decay"])
            if self.kind == "sgd":
                rules.sgd(w, g, state.get("momentum_buffer"), **settings)
            elif self.kind == "rmsprop":
                rules.rmsprop(w, g, state["square_avg"], state.get("momentum_buffer"), **settings)
            else:
                rules.adam(w, g, state["exp_avg"], state["exp_avg_sq"], **settings)

    def _settings_of(self, rates: Sequence[float]) -> dict[str, Any]:
        """The arguments of the rule for this update."""
        ts, fixed = self.trainings, self._fixed
        if rates is not self._rates:
            self._rates, self._rate = rates, self._column([-rate for rate in rates])
        if self.kind == "sgd":
            first = self.count == 1
            common = {"rate": self._rate, "momentum": fixed["momentum"]}
            return {**common, "first": first, "nesterov": self.nesterov}
        squares = {name: fixed[name] for name in ("keep_square", "new_square", "eps")}
        if self.kind == "rmsprop":
            return {**squares, "rate": self._rate, "momentum": fixed["momentum"]}
        corrections = {b: [1.0 - beta**self.count for beta in b] for b in {t.betas for t in ts}}
        steps = [-rate / corrections[t.betas][0] for rate, t in zip(rates, ts, strict=True)]
        roots = [corrections[t.betas][1] ** 0.5 for t in ts]
        return {**squares, "rate": self._column(steps), "root": self._column(roots), "new": fixed["new"]}
