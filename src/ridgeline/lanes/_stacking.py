"""The stacked state of a pack: weights, gradients, optimizer, penalties, noise; what one update does to it."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ridgeline.lanes import _lane_terms as lane_terms
from ridgeline.lanes._alike import NotStackableError, check_alike
from ridgeline.lanes._early import Early, early_names
from ridgeline.lanes._feed import LaneSet, lane_set
from ridgeline.lanes._lane_gradients import clip as clip_lanes
from ridgeline.lanes._masks import LaneDropout, Sources, dropouts
from ridgeline.lanes._pass import Layer
from ridgeline.lanes._precision import lowered_layer
from ridgeline.lanes._program import Program
from ridgeline.lanes._settings import LossName
from ridgeline.lanes._shared import Path, layer_of, shared, sort_key
from ridgeline.lanes._stack import Layout, layout_of
from ridgeline.lanes._turns import Turn, at_once, slices
from ridgeline.lanes._updates import Rule, Updates, rule_for
from ridgeline.lanes._work import work_of
from ridgeline.noise import Clock
from ridgeline.select import assign


class Stacking:
    """Everything that has a lanes axis.

    Attributes:
        order: the number of each lane's program; lanes of equal settings stand side by side.
        weights, grads: flat buffers; `views` and `slopes` are the same by name.
        kept: names of frozen parameters and of buffers, [L, *shape].
        best: flat weights and kept tensors of each lane's best step.
        numbers: that a forward pass reads and computes for one example of one lane.
        turns: the lanes that take a training pass together.
    """

    def __init__(
        self, programs: Sequence[Program], order: list[int], device: torch.device, rule: Rule
    ) -> None:
        self.order, self.device = order, device
        self.programs = [programs[place] for place in order]
        lanes = len(order)
        assigned = []
        rates: list[list[float]] = []
        first: dict[tuple[str, int], int] = {}  # the lane that built a model
        self.template: nn.Module
        self.weights: Tensor
        self.kept: dict[str, Tensor] = {}
        for lane, program in enumerate(self.programs):
            key = program.model_key
            twin = lane if key is None else first.setdefault((key, program.seed), lane)
            if twin != lane:
                for t in [*self.layout.views(self.weights, lanes).values(), *self.kept.values()]:
                    t[lane] = t[twin]
                rates.append(rates[twin])
                assigned.append(assign(self.template, program.rules) if program.rules else [])
                continue
            model = program.build(Clock(program.seed), program.data).to(device)
            trained = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
            frozen = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
            rest = {**frozen, **dict(model.named_buffers())}
            if lane == 0:
                self.template = model
                self.layout: Layout = layout_of(trained)
                self.weights, self.grads = self.layout.empty(lanes), self.layout.empty(lanes)
                self.kept = {name: t.new_empty(lanes, *t.shape) for name, t in rest.items()}
            check_alike(self.template, self.layout, model, trained)
            for slot in self.layout.slots:
                self.layout.view(self.weights, slot, lanes)[lane] = trained[slot.name]
            for name, t in rest.items():
                self.kept[name][lane] = t
            rates.append([layer.p for layer in dropouts(model)])
            assigned.append(assign(model, program.rules) if program.rules else [])
        x, _ = programs[0].data.train.batch(torch.arange(1))
        spare = copy.deepcopy(model) if model is self.template else model  # whose forward pass is run
        self.numbers = x.numel() + work_of(spare, x.to(device)).numbers
        self.rates = rates
        self.updates = Updates(self.layout, [p.training for p in self.programs], rule)
        self.metric = programs[0].metric
        self.sets: dict[str, LaneSet] = {
            name: lane_set([p.data.sets[name] for p in self.programs], device)
            for name in programs[0].data.sets
        }
        self.best = self.weights.clone()
        self.best_kept = {name: t.clone() for name, t in self.kept.items()}
        views = self.layout.views(self.weights, lanes)
        self.terms = lane_terms.lane_terms(assigned, views)
        self._bind()

    def _bind(self) -> None:
        """What points into the buffers, as they are now."""
        lanes = len(self.programs)
        self.views = self.layout.views(self.weights, lanes)
        self.slopes = self.layout.views(self.grads, lanes)
        exact = self.programs[0].training.precision == "float32"
        most = at_once(self.programs[0].training.batch_size, self.numbers, self.device.type == "cpu")
        self.turns = [
            Turn(first, last, self.views, self.slopes, self.kept, exact)
            for first, last in slices(lanes, most)
        ]
        self.sources = Sources([p.seed for p in self.programs], self.device)
        own = dropouts(self.template)
        made = {
            id(layer): LaneDropout([each[k] for each in self.rates], layer.site, self.sources)
            for k, layer in enumerate(own)
        }
        self.path: Path
        self.layer: Layer
        self.path, layer = layer_of(self.template, made)
        if self.path.kind == "vmap" and self.programs[0].training.precision == "bf16":
            raise NotStackableError(f"{self.path.reason}, where autocast does not reach")
        self.layer = lowered_layer(layer, self.programs[0].training.precision, self.device)
        names = early_names(self.layer, self.layout, self.terms)
        self.early = Early(names, self.views, self.updates, self.terms)

    def tensors(self) -> dict[str, Tensor]:
        """Everything a forward pass reads, by name, [L, *shape]."""
        return {**self.views, **self.kept}

    def losses(
        self,
        x: Tensor,
        y: Tensor,
        step: int,
        loss: LossName,
        smoothing: Tensor | None,
        early: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """A training pass and its gradients, which wait for `act`: the loss of each batch (L,), and outputs.

        Args:
            smoothing: label smoothing of each lane, where there is any.
            early: whether large weights may be updated at once; the update has begun then.
        """
        self.early.done.clear()
        for turn in self.turns:
            turn.sink.early = self.early if early else None
        self.sources.step = step
        found = []
        for turn in self.turns:
            self.sources.begin(turn.first, turn.last)
            found.append(turn.losses(self.layer, x, y, loss, smoothing))
        if len(found) == 1:
            return found[0]
        losses, outputs = zip(*found, strict=True)
        return torch.cat(losses), torch.cat(outputs)

    @torch.no_grad()
    def act(self, rates: Sequence[float], first: Sequence[float], clip: Sequence[float] | None) -> None:
        """The rest of an update after its backward pass: penalties, clipping, optimizer, proximal operators."""
        done = self.early.done
        terms, views, slopes = [t for t in self.terms if t.name not in done], self.views, self.slopes
        lane_terms.add_gradients(terms, "loss", views, slopes)
        if clip is not None:
            clip_lanes(slopes, clip)
        lane_terms.add_gradients(terms, "coupled", views, slopes)
        lane_terms.decay(terms, views, rates, first)
        self.updates.step(self.weights, self.grads, done)
        if any(term.late for term in self.terms):
            lane_terms.prox(self.terms, views, self.updates.metric(rates, self.metric))

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
