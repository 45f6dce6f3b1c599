"""Planted bugs in the lanes engine: each must be caught by the law that is named beside it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from ridgeline.lanes import _lane_evaluate as lane_evaluate
from ridgeline.lanes import _lane_loss as lane_loss
from ridgeline.lanes import _lane_terms as lane_terms
from ridgeline.lanes import _stacking as stacking
from ridgeline.lanes import _turns as turns
from ridgeline.lanes._feed import Orders
from ridgeline.lanes._lane import Lane
from ridgeline.lanes._lane_terms import LaneTerm, Metric, Weights
from ridgeline.lanes._masks import LaneDropout, Sources
from ridgeline.lanes._pack import Pack
from ridgeline.lanes._pass import Sink
from ridgeline.lanes._stacking import Stacking
from ridgeline.lanes._updates import Updates
from tests.engines import test_lane_masks as masks
from tests.engines import test_lane_neighbours as neighbours
from tests.engines import test_lane_runs as runs
from tests.engines import test_lane_steps as steps


class Plant(NamedTuple):
    """A bug and the law that catches it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    law: Callable[[], object]


def put(target: object, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(target, name, value)


RATES, CHOSEN, FACTORS, CUT = Pack.rates, Updates.chosen, LaneDropout.factors, Orders.cut
BEGIN, KEEP, DECAY, LOSSES, PRODUCT = (
    Updates.begin,
    Stacking.keep_best,
    lane_terms.decay,
    lane_loss.batch_slopes,
    Sink.product,
)


def rate_of_the_first_lane(self: Pack, step: int) -> list[float]:
    return RATES(self, step)[:1] * len(self.lanes)


def state_forgotten(self: Updates, index: Tensor) -> None:
    CHOSEN(self, index)
    self.state = {name: torch.zeros_like(flat) for name, flat in self.state.items()}


def masks_of_the_first_lane(self: LaneDropout, x: Tensor) -> Tensor:
    found = FACTORS(self, x)
    return found[:1].expand_as(found)


def one_order_for_all(self: Orders, epoch: int, start: int | None, stop: int | None) -> Tensor:
    found = CUT(self, epoch, start, stop)
    return found if found.ndim == 1 else found[0]


def one_update_too_late(self: Updates, rates: Sequence[float]) -> None:
    self.count += 1
    BEGIN(self, rates)
    self.count -= 1


def best_of_all_at_once(self: Stacking, lanes: Sequence[int]) -> None:
    KEEP(self, range(len(self.programs)) if lanes else [])


def decay_by_the_first_rate(
    terms: Sequence[LaneTerm], weights: Weights, rates: Sequence[float], first: Sequence[float]
) -> None:
    DECAY(terms, weights, list(rates[:1]) * len(rates), first)


def independent_of_no_schedule(
    terms: Sequence[LaneTerm], weights: Weights, rates: Sequence[float], first: Sequence[float]
) -> None:
    DECAY(terms, weights, rates, [1.0] * len(rates))


def euclidean_metric(self: Updates, rates: Sequence[float], kind: str) -> Metric:
    return Metric(rates)


def summed_losses(*args: Any) -> tuple[Tensor, Tensor]:
    losses, slope = LOSSES(*args)
    return losses * slope.shape[1], slope * slope.shape[1]


def one_norm_for_all(grads: Weights, most: Sequence[float]) -> None:
    norm = torch.stack([g.norm() for g in grads.values()]).norm()
    for g in grads.values():
        g.mul_((most[0] / (norm + 1e-6)).clamp(max=1.0))


def a_neighbour_leaks(self: Sink, name: str, a: Tensor, b: Tensor) -> None:
    PRODUCT(self, name, a, b)
    self.grads[name].add_(self.grads[name].roll(1, 0), alpha=1e-6)


def smallest_output(output: Tensor, y: Tensor) -> Tensor:
    return output.argmin(2) == y


def nothing_gathered(leaves: Weights, sink: Sink) -> None:
    for leaf in leaves.values():
        leaf.grad = None


PLANTS: dict[str, Plant] = {
    "one learning rate for all": Plant(
        put(Pack, "rates", rate_of_the_first_lane), lambda: steps.test_a_step_is_that_of_solo("mlp", "sgd")
    ),
    "one order of examples for all": Plant(
        put(Orders, "cut", one_order_for_all), lambda: steps.test_a_step_is_that_of_solo("mlp", "sgd")
    ),
    "losses summed over the batch": Plant(
        put(turns, "batch_slopes", summed_losses),
        lambda: steps.test_a_step_is_that_of_solo("linear", "sgd"),
    ),
    "bias correction one step off": Plant(
        put(Updates, "begin", one_update_too_late), lambda: steps.test_a_step_is_that_of_solo("mlp", "adam")
    ),
    "gradients of autograd dropped": Plant(
        put(turns, "gather", nothing_gathered),
        lambda: steps.test_a_step_is_that_of_solo("attention", "sgd"),
    ),
    "decay by one lane's rate": Plant(
        put(lane_terms, "decay", decay_by_the_first_rate),
        lambda: steps.test_a_step_of_every_mode("L2-decoupled", "sgd"),
    ),
    "independent decay by η": Plant(
        put(lane_terms, "decay", independent_of_no_schedule),
        lambda: steps.test_a_step_of_every_mode("L2-independent", "sgd"),
    ),
    "prox in the Euclidean metric": Plant(
        put(Updates, "metric", euclidean_metric),
        lambda: steps.test_a_step_of_every_mode("L1-proximal", "adam"),
    ),
    "clipped by the norm of all lanes": Plant(
        put(stacking, "clip_lanes", one_norm_for_all),
        steps.test_clipping_smoothing_and_schedules_go_lane_by_lane,
    ),
    "one mask for all lanes": Plant(
        put(LaneDropout, "factors", masks_of_the_first_lane),
        lambda: masks.test_masks_are_those_of_each_layer_alone([3, 1, 1, 7]),
    ),
    "one seed for all lanes' noise": Plant(
        put(
            stacking,
            "Sources",
            lambda seeds, device: Sources([seeds[0]] * len(seeds), device),
        ),
        lambda: steps.test_a_step_is_that_of_solo("mlp", "sgd"),
    ),
    "a neighbour leaks into a gradient": Plant(
        put(Sink, "product", a_neighbour_leaks),
        lambda: neighbours.test_place_and_number_of_lanes_change_no_bit("mlp-nesterov"),
    ),
    "the optimizer's state lost when a lane leaves": Plant(
        put(Updates, "chosen", state_forgotten),
        lambda: neighbours.test_a_neighbour_that_diverges_changes_no_bit_of_the_others("mlp-adam-grouped"),
    ),
    "the best step of one lane taken for all": Plant(
        put(Stacking, "keep_best", best_of_all_at_once),
        runs.test_lanes_stop_early_one_by_one_and_keep_their_best_weights,
    ),
    "the smallest output taken for the answer": Plant(
        put(lane_evaluate, "corrects", smallest_output), runs.test_records_are_those_of_solo
    ),
    "a lane that diverged stays": Plant(
        put(Lane, "leaves", property(lambda self: False)),
        runs.test_a_lane_that_diverges_is_reported_with_its_step_and_the_others_go_on,
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = PLANTS[name]
    bug.plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        bug.law()
    monkeypatch.undo()
    bug.law()
