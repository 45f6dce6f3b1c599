"""Optimizer rules with lanes: torch's fused kernels over lanes of equal settings, or one rule for all lanes.

The rule for all lanes rounds as the vector part of the fused SGD kernel does; that of Adam differs from the
fused one in the last bit of few elements. So which is used is fixed when the pack is made.
"""

from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from ridgeline.lanes._lane_terms import Metric
from ridgeline.lanes._settings import Training
from ridgeline.lanes._stack import Layout

Rule: TypeAlias = Literal["grouped", "broadcast"]


def setting(training: Training) -> tuple[object, ...]:
    """What lanes of one fused call share; sort lanes by it."""
    t, s = training, training.schedule
    return (t.momentum, t.betas, t.eps, t.weight_decay, t.lr, s.name, s.warmup, s.every, s.gamma)


def rule_for(trainings: Sequence[Training]) -> Rule:
    """ "broadcast" where settings differ in more than a quarter of the lanes; SGD has no other rule."""
    groups = len({setting(t) for t in trainings})
    few = groups == 1 or 4 * groups <= len(trainings)
    return "grouped" if trainings[0].optimizer != "sgd" and few else "broadcast"


class Updates:
    """The optimizer of a pack and its state: flat buffers in the layout of the weights.

    Attributes:
        count: updates made.
        state: "momentum_buffer", or "exp_avg" and "exp_avg_sq".
    """

    def __init__(self, layout: Layout, trainings: Sequence[Training], rule: Rule) -> None:
        self.layout, self.rule, self.count = layout, rule, 0
        self.kind = trainings[0].optimizer
        self.nesterov = trainings[0].nesterov
        self.trainings = list(trainings)
        names = ["exp_avg", "exp_avg_sq"]
        if self.kind == "sgd":
            names = ["momentum_buffer"] if any(t.momentum for t in trainings) else []
        self.state = {name: layout.empty(len(trainings)) for name in names}
        self._settle()

    def _settle(self) -> None:
        """Columns [L, 1] of what does not change from step to step."""
        ts = self.trainings
        self._rates: Sequence[float] = []
        self._fixed = {
            "decay": self._column([t.weight_decay for t in ts]),
            "momentum": self._column([t.momentum for t in ts]),
            "first": self._column([1.0 - t.betas[0] for t in ts]),
            "keep": self._column([t.betas[1] for t in ts]),
            "second": self._column([1.0 - t.betas[1] for t in ts]),
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
        elif self.kind == "sgd":
            self._sgd(weights, grads, rates)
        else:
            self._adam(weights, grads, rates)

    def metric(self, rates: Sequence[float], kind: str) -> Metric:
        """1/H of each lane after its update, or 1/η where the metric is Euclidean."""
        if kind == "euclidean":
            return Metric(rates)
        if self.kind == "sgd":
            return Metric([rate / (1.0 - t.momentum) for rate, t in zip(rates, self.trainings, strict=True)])
        roots = [(1.0 - t.betas[1] ** self.count) ** 0.5 for t in self.trainings]
        tops = [rate * root for rate, root in zip(rates, roots, strict=True)]
        shifts = [t.eps * root for t, root in zip(self.trainings, roots, strict=True)]
        return Metric(tops, shifts, self.layout.views(self.state["exp_avg_sq"], len(self.trainings)))

    def _grouped(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        kernel: Any = torch._fused_adam_ if self.kind == "adam" else torch._fused_adamw_
        buffers = (weights, grads, self.state["exp_avg"], self.state["exp_avg_sq"])
        lanes = len(self.trainings)
        for first, end in self._groups:
            if end - first == lanes:
                lists = [[flat] for flat in buffers]
            else:
                lists = [
                    [self.layout.rows(f, s, lanes)[first:end] for s in self.layout.slots] for f in buffers
                ]
            t = self.trainings[first]
            count = torch.tensor(float(self.count), device=weights.device)
            kernel(
                *lists,
                [],
                [count] * len(lists[0]),
                lr=rates[first],
                beta1=t.betas[0],
                beta2=t.betas[1],
                weight_decay=t.weight_decay,
                eps=t.eps,
                amsgrad=False,
                maximize=False,
            )

    def _sgd(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        lanes, decay, momentum = len(self.trainings), self._fixed["decay"], self._fixed["momentum"]
        if rates is not self._rates:
            self._rates, self._lr = rates, self._column([-rate for rate in rates])
        for slot in self.layout.slots:
            w, g = self.layout.rows(weights, slot, lanes), self.layout.rows(grads, slot, lanes)
            if self._decays:
                g.addcmul_(w, decay)
            if self.state:
                b = self.layout.rows(self.state["momentum_buffer"], slot, lanes)
                if self.count == 1:
                    b.copy_(g)
                else:
                    b.mul_(momentum).add_(g)
                g = torch.addcmul(g, b, momentum) if self.nesterov else b
            w.addcmul_(g, self._lr)

    def _adam(self, weights: Tensor, grads: Tensor, rates: Sequence[float]) -> None:
        lanes, ts, k = len(self.trainings), self.trainings, self.count
        fixed = self._fixed
        biases = {b: (1.0 - b[0] ** k, (1.0 - b[1] ** k) ** 0.5) for b in {t.betas for t in ts}}
        step = self._column([-r / biases[t.betas][0] for r, t in zip(rates, ts, strict=True)])
        root = self._column([biases[t.betas][1] for t in ts])
        shrink = self._column([1.0 - r * t.weight_decay for r, t in zip(rates, ts, strict=True)])
        for slot in self.layout.slots:
            w, g, m, v = (
                self.layout.rows(flat, slot, lanes)
                for flat in (weights, grads, self.state["exp_avg"], self.state["exp_avg_sq"])
            )
            if self._decays and self.kind == "adam":
                g.addcmul_(w, fixed["decay"])
            elif self._decays:
                w.mul_(shrink)
            m.lerp_(g, fixed["first"])
            v.mul_(fixed["keep"]).addcmul_(g * fixed["second"], g)
            below = v.sqrt().div_(root).add_(fixed["eps"])
            w.add_((m * step).div_(below))
