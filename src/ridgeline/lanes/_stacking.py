"""The stacked state of a pack: weights, gradients, optimizer, penalties, noise; what one update does to it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.lanes import _lane_terms as lane_terms
from ridgeline.lanes._feed import LaneSet, lane_set
from ridgeline.lanes._layers import Layer, Pass, Sink
from ridgeline.lanes._masks import LaneDropout, Sources, dropouts
from ridgeline.lanes._shared import NotStackableError, Path, layer_of, shared, sort_key
from ridgeline.lanes._solo import Program
from ridgeline.lanes._stack import Layout, layout_of, over_lanes
from ridgeline.lanes._updates import Rule, Updates, rule_for
from ridgeline.noise import Clock, Dropout
from ridgeline.select import assign


class Stacking:
    """Everything that has a lanes axis.

    Attributes:
        order: the number of each lane's program; lanes of equal settings stand side by side.
        weights, grads: flat buffers; `views` and `leaves` are the same weights by name.
        kept: names of frozen parameters and of buffers, [L, *shape].
        best: flat weights and kept tensors of each lane's best step.
    """

    def __init__(
        self, programs: Sequence[Program], order: list[int], device: torch.device, rule: Rule
    ) -> None:
        self.order, self.device = order, device
        self.programs = [programs[place] for place in order]
        lanes = len(order)
        assigned = []
        rates: list[list[float]] = []
        for lane, program in enumerate(self.programs):
            model = program.build(Clock(program.seed), program.data).to(device)
            trained = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
            frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
            rest = {**frozen, **dict(model.named_buffers())}
            if lane == 0:
                self.template = model
                self.layout: Layout = layout_of(trained)
                self.weights, self.grads = self.layout.empty(lanes), self.layout.empty(lanes)
                self.kept = {name: t.new_empty(lanes, *t.shape) for name, t in rest.items()}
            _same_shape(self.template, model, self.layout, trained)
            for slot in self.layout.slots:
                self.layout.view(self.weights, slot, lanes)[lane] = trained[slot.name]
            for name, t in rest.items():
                self.kept[name][lane] = t
            rates.append([layer.p for layer in dropouts(model)])
            assigned.append(assign(model, program.rules) if program.rules else [])
        self.rates = rates
        self.updates = Updates(self.layout, [p.training for p in self.programs], rule)
        self.metric = programs[0].metric
        self.sets: dict[str, LaneSet] = {
            name: lane_set([p.data.sets[name] for p in self.programs], device)
            for name in programs[0].data.sets
        }
        self.best = self.weights.clone()
        self.best_kept = {name: t.clone() for name, t in self.kept.items()}
        self._bind()
        self.terms = lane_terms.lane_terms(assigned, self.views)

    def _bind(self) -> None:
        """What points into the buffers, as they are now."""
        lanes = len(self.programs)
        self.views = self.layout.views(self.weights, lanes)
        self.slopes = self.layout.views(self.grads, lanes)
        self.leaves = {name: view.detach().requires_grad_() for name, view in self.views.items()}
        self.sink = Sink(self.slopes)
        self.sources = Sources([p.seed for p in self.programs], self.device)
        own = dropouts(self.template)
        made = {
            id(layer): LaneDropout([each[k] for each in self.rates], layer.site, self.sources)
            for k, layer in enumerate(own)
        }
        self.path: Path
        self.layer: Layer
        self.path, self.layer = layer_of(self.template, made)

    def tensors(self) -> dict[str, Tensor]:
        """Everything a forward pass reads, by name, [L, *shape]."""
        return {**self.views, **self.kept}

    def forward(self, x: Tensor, step: int) -> Tensor:
        """The outputs of a training pass, with a graph to the leaves."""
        self.sources.step = step
        self.sink.written.clear()
        return self.layer(Pass({**self.leaves, **self.kept}, True, self.sink), x)

    @torch.no_grad()
    def act(self, rates: Sequence[float], first: Sequence[float], clip: Sequence[float] | None) -> None:
        """The update that follows a backward pass: penalties, clipping, optimizer, proximal operators."""
        terms, views, slopes = self.terms, self.views, self.slopes
        self._gather()
        lane_terms.add_gradients(terms, "loss", views, slopes)
        if clip is not None:
            self._clip(clip)
        lane_terms.add_gradients(terms, "coupled", views, slopes)
        lane_terms.decay(terms, views, rates, first)
        self.updates.step(self.weights, self.grads, rates)
        if any(term.late for term in terms):
            lane_terms.prox(terms, views, self.updates.metric(rates, self.metric))

    def _gather(self) -> None:
        """Take into the buffer what autograd kept of gradients that the layers do not write themselves."""
        for name, leaf in self.leaves.items():
            if leaf.grad is not None and name in self.sink.written:
                self.slopes[name].add_(leaf.grad)
            elif leaf.grad is not None:
                self.slopes[name].copy_(leaf.grad)
            elif name not in self.sink.written:
                self.slopes[name].zero_()
            leaf.grad = None

    def _clip(self, most: Sequence[float]) -> None:
        """Scale each lane's gradient to a norm of at most `most`, as torch's clip_grad_norm_ does one."""
        norms = [
            torch.linalg.vector_norm(g.flatten(1), dim=1) for g in (s[:, None] for s in self.slopes.values())
        ]
        norm = torch.linalg.vector_norm(torch.stack(norms), dim=0)
        factor = (over_lanes(most, norm) / (norm + 1e-6)).clamp(max=1.0)
        for g in self.slopes.values():
            g.mul_(factor.view(-1, *([1] * (g.ndim - 1))))

    def keep_best(self, lanes: Sequence[int]) -> None:
        """Remember the weights of these lanes as their best."""
        if len(lanes) == len(self.programs):
            self.best.copy_(self.weights)
            for name, t in self.kept.items():
                self.best_kept[name].copy_(t)
        elif lanes:
            index, count = torch.tensor(lanes, device=self.device), len(self.programs)
            for slot in self.layout.slots:
                rows = self.layout.rows(self.weights, slot, count)
                self.layout.rows(self.best, slot, count).index_copy_(0, index, rows[index])
            for name, t in self.kept.items():
                self.best_kept[name].index_copy_(0, index, t[index])

    def tensors_of(self, index: Tensor, best: bool) -> dict[str, Tensor]:
        """Everything a forward pass reads, of these lanes, as it is now or at the best step."""
        here = index.to(self.device)
        kept = self.best_kept if best else self.kept
        flat = self.layout.chosen(self.best if best else self.weights, len(self.programs), here)
        views = self.layout.views(flat, len(index))
        return {**views, **{name: t[here] for name, t in kept.items()}}

    def state_dict(self, lane: int, best: bool) -> dict[str, Tensor]:
        """One lane's state_dict, on the CPU."""
        views = self.layout.views(self.best if best else self.weights, len(self.programs))
        own = {**views, **(self.best_kept if best else self.kept)}
        template = self.template
        first = {id(t): name for name, t in [*template.named_parameters(), *template.named_buffers()]}
        state = template.state_dict(keep_vars=True)
        return {key: own[first[id(t)]][lane].detach().cpu().clone() for key, t in state.items()}

    def choose(self, index: Tensor) -> None:
        """Go on with these lanes only; the last may be named twice, as a pad."""
        here, count = index.to(self.device), len(self.programs)
        self.weights = self.layout.chosen(self.weights, count, here)
        self.best = self.layout.chosen(self.best, count, here)
        self.grads = self.layout.empty(len(index))
        self.kept = {name: t[here] for name, t in self.kept.items()}
        self.best_kept = {name: t[here] for name, t in self.best_kept.items()}
        self.updates.chosen(here)
        self.terms = lane_terms.chosen(self.terms, index)
        self.sets = {name: each.of(index) for name, each in self.sets.items()}
        self.programs = [self.programs[i] for i in index.tolist()]
        self.rates = [self.rates[i] for i in index.tolist()]
        self._bind()


def stack(programs: Sequence[Program], device: torch.device, rule: Rule | None) -> Stacking:
    """The state of a pack at its start; a single program is named twice, for company.

    Raises:
        NotStackableError: where the programs cannot share one.
    """
    if len({shared(program) for program in programs}) > 1:
        raise NotStackableError(
            "the trials have different settings that lanes must share, or data of other sizes"
        )
    order = sorted(range(len(programs)), key=lambda place: sort_key(programs[place]))
    fixed = rule or rule_for([p.training for p in programs])
    return Stacking(programs, order if len(order) > 1 else order * 2, device, fixed)


def _same_shape(template: nn.Module, model: nn.Module, layout: Layout, trained: dict[str, Tensor]) -> None:
    here = {slot.name: slot.shape for slot in layout.slots}
    if here != {name: tuple(t.shape) for name, t in trained.items()}:
        raise NotStackableError("the trials' models have parameters of different shapes")
    if _layers(template) != _layers(model):
        raise NotStackableError("the trials' models are built of different layers")
    if not trained:
        raise RidgelineError("the model has no trainable parameters; nothing can be trained.")


def _layers(model: nn.Module) -> list[tuple[type[nn.Module], str]]:
    """Its modules and their settings; rates of dropout may differ by lane."""
    return [(type(m), "" if isinstance(m, Dropout) else m.extra_repr()) for m in model.modules()]
