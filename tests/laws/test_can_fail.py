"""Planted bugs: each must be caught by the law that is named beside it, and the law holds without it."""

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor

from ridgeline.noise import _dropout, stream_key
from ridgeline.penalties import L1, L2, GroupLasso
from ridgeline.penalties import _group as group
from ridgeline.penalties import _separable as separable
from ridgeline.penalties import _sum as sums
from ridgeline.penalties._prox import shrink_groups, soft_threshold
from ridgeline.penalties._strength import over
from ridgeline.regularizer import _forgotten as forgotten
from ridgeline.regularizer import _hooks as hooks
from ridgeline.regularizer import _in_loss as in_loss
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer import _step as step
from ridgeline.regularizer._metric import learning_rate
from ridgeline.regularizer._split import split
from ridgeline.select import _assign as assign
from ridgeline.select import _choose as choose
from ridgeline.select._default import default_reason
from ridgeline.select._owned import owned_tensors
from tests.laws import test_kernels as kernel_laws
from tests.laws import test_penalties as laws
from tests.laws import test_prox as prox_laws
from tests.laws._table import PENALTIES
from tests.modes import (
    test_closures,
    test_copies,
    test_coupled,
    test_decoupled,
    test_forgotten,
    test_loss,
    test_loss_surroundings,
    test_proximal,
    test_scaler,
    test_schedules,
    test_split,
)
from tests.select_audit import test_tied
from tests.unit import test_dropout, test_select


class Plant(NamedTuple):
    """A bug and the law that catches it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    law: Callable[[], object]


def put(target: object, name: str, value: object) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(target, name, value)


def no_half(self: L2, w: Tensor) -> Tensor:
    return self._reduced(w.double().square())


def uphill(self: L1, w: Tensor) -> Tensor:
    return -w.sign() * self.per_element(w)


def threshold_without_strength(self: L1, w: Tensor, s: float | Tensor) -> Tensor:
    return soft_threshold(w, s)


def kink(self: L1, w: Tensor) -> Tensor:
    return torch.where(w >= 0, 1.0, -1.0).to(w.dtype) * self.per_element(w)


def no_mean(self: separable.Separable, w: Tensor) -> float | Tensor:
    return over(self.strength, w)


NORMS = GroupLasso.norms


def no_root_of_size(self: GroupLasso, w: Tensor) -> tuple[Tensor, Tensor]:
    norm, weight = NORMS(self, w)
    return norm, weight / (w.numel() / norm.numel()) ** 0.5


def mean_step(w: Tensor, strength: Tensor, size: Tensor, dims: tuple[int, ...]) -> Tensor:
    return shrink_groups(w, strength * size.mean(dims, keepdim=True), dims)


def step_not_folded(self: sums.Sum, w: Tensor, s: float | Tensor) -> Tensor:
    for part in self._elementary():
        w = part.prox(w, s)
    return w


ADD_GRADIENT = kernels.add_gradient


def parts_see_each_other(
    target: Tensor, penalty: Any, w: Tensor, factor: Any = 1.0, compiled: bool = False
) -> None:
    for part in getattr(penalty, "parts", (penalty,)):
        ADD_GRADIENT(target, part, w, factor)


def decay_without_rate(optimizer: Any, found: Any, at: int, first: Any, compiled: bool) -> None:
    with torch.no_grad():
        for term, _, p in step._touched(found):
            kernels.add_gradient(p, term.at(at), p, -1.0)


def always_coupled(optimizer: Any, strengths: Any) -> Any:
    return split(optimizer, {key: (strength, "coupled") for key, (strength, _) in strengths.items()})


def scale_ignored(optimizer: Any, found: Any, at: int, compiled: bool) -> None:
    with torch.no_grad():
        for term, _, p in step._touched(found):
            assert p.grad is not None
            kernels.add_gradient(p.grad, term.at(at), p, 1.0)


def rate_only(optimizer: Any, group: Any, p: Any) -> Any:
    return learning_rate(group), ()


def queued_once(later: Any, upstream: Tensor, compiled: bool) -> None:
    def add() -> None:
        for penalty, w in later:
            kernels.add_gradient(w.grad, penalty, w, kernels.fold(upstream.detach()))

    torch.autograd.Variable._execution_engine.queue_callback(add)


def closure_not_wrapped(self: Any, optimizer: Any, args: Any, kwargs: Any) -> None:
    self._act_before(optimizer)


def clock_stands(self: Any, optimizer: Any, args: Any, kwargs: Any) -> None:
    return None


def tied_twice(model: Any) -> Any:
    found = owned_tensors(model)
    return found + [t for t in found if len(t.names) > 1]


def step_ignored(seed: int, site: str, at: int, word: int) -> int:
    return stream_key(seed, site, 0, word)


def biases_too(*given: Any) -> tuple[bool, str]:
    taken, why = default_reason(*given)
    return taken or why == "bias", why


def gradient_of(name: str) -> Callable[[], object]:
    return lambda: laws.test_gradient_is_autograd_where_smooth_and_zero_at_kinks(PENALTIES[name], 1.0)


def value_of(name: str) -> Callable[[], object]:
    return lambda: laws.test_value_is_the_formula(PENALTIES[name], 1.0)


def joint(name: str, kind: str) -> Callable[[], object]:
    return lambda: prox_laws.test_prox_is_the_joint_brute_force_argmin(name, 0.5, kind)


def pooled(name: str) -> Callable[[], object]:
    return lambda: kernel_laws.test_add_gradient(name, "2-d")


def scaled(mode: str, overflow: bool) -> Callable[[], object]:
    return lambda: test_scaler.test_a_scaled_run_is_the_unscaled_one(mode, True, False, overflow)


def accounted(module_index: int) -> Callable[[], object]:
    module, expected = cast(Any, test_select.TABLE[module_index])
    return lambda: test_select.test_default_selection(module, expected)


HOOKS = hooks.StepHooks
ADAMW = torch.optim.AdamW

PLANTS: dict[str, Plant] = {
    "L2 without its half": Plant(put(L2, "value", no_half), value_of("L2")),
    "L1 uphill": Plant(put(L1, "gradient", uphill), gradient_of("L1")),
    "a gradient at the kink": Plant(put(L1, "gradient", kink), gradient_of("L1")),
    "mean forgotten": Plant(put(separable.Separable, "per_element", no_mean), value_of("L1-mean")),
    "groups without √|g|": Plant(put(GroupLasso, "norms", no_root_of_size), value_of("GroupLasso")),
    "threshold without λ": Plant(
        put(L1, "prox", threshold_without_strength),
        lambda: prox_laws.test_prox_of_single_weights_is_the_brute_force_argmin(PENALTIES["L1"], 0.3, 0.1),
    ),
    "a weighted prox by the mean step": Plant(
        put(group, "shrink_groups_weighted", mean_step),
        joint("GroupLasso", "tensor"),
    ),
    "a sum's prox without folding L2 into the step": Plant(
        put(sums.Sum, "prox", step_not_folded), joint("L2+GroupLasso", "number")
    ),
    "parts of a sum that see each other's update": Plant(
        put(kernels, "add_gradient", parts_see_each_other), pooled("L1+GroupLasso")
    ),
    "decay without the learning rate": Plant(
        put(step, "decay", decay_without_rate),
        lambda: test_decoupled.test_independent_takes_initial_lr_or_the_rate_when_attached(True),
    ),
    "native decay of one kind only": Plant(
        put(hooks, "split", always_coupled), test_split.test_the_other_kind_of_decay_works_too
    ),
    "coupled without the loss scale": Plant(
        put(step, "add_coupled", scale_ignored), scaled("coupled", False)
    ),
    "an overflowed step that decays": Plant(put(step, "_applied", lambda o: 1.0), scaled("decoupled", True)),
    "the prox of plain SGD under momentum": Plant(
        put(step, "optimizer_step", rate_only),
        lambda: test_proximal.test_the_fixed_point_is_sklearns_lasso("momentum", False),
    ),
    "the prox of plain SGD under Adam": Plant(
        put(step, "optimizer_step", rate_only),
        lambda: test_proximal.test_the_fixed_point_is_sklearns_lasso("Adam", False),
    ),
    "the penalty averaged with the gradients": Plant(
        put(in_loss, "_add_after_pass", queued_once),
        test_loss_surroundings.test_the_penalty_comes_after_a_wrappers_average,
    ),
    "hooks on parameters passed by": Plant(
        put(in_loss, "_deferrable", lambda w: True),
        test_loss_surroundings.test_tensor_hooks_see_the_whole_gradient,
    ),
    "always deferred": Plant(
        put(in_loss, "_deferrable", lambda w: True),
        lambda: test_loss.test_it_equals_plain_autograd(L1(0.3), test_loss.asked),
    ),
    "a closure that wipes the penalty": Plant(
        put(HOOKS, "_before", closure_not_wrapped),
        lambda: test_closures.test_a_closure_that_clears_gradients_does_not_clear_the_penalty(
            "L1", "keyword"
        ),
    ),
    "native decay left behind": Plant(
        put(hooks, "join", lambda optimizer: None),
        lambda: test_coupled.test_l2_is_torchs_weight_decay("SGD", True),
    ),
    "a loaded state that overrules the strength": Plant(
        put(HOOKS, "_loaded", lambda self, optimizer: None),
        lambda: test_copies.test_loading_an_optimizers_state_keeps_the_penalty(0.7, test_copies.NATIVE),
    ),
    "a clock that stands still": Plant(
        put(HOOKS, "_after", clock_stands),
        lambda: test_schedules.test_the_clock_is_the_optimizers_steps(L2, "coupled"),
    ),
    "a forgotten penalty unnoticed": Plant(
        put(forgotten.Watch, "_check_used", lambda self, optimizer: None),
        lambda: test_forgotten.test_it_raises_before_the_step_and_once(True),
    ),
    "dropout that repeats its mask": Plant(
        put(_dropout, "stream_key", step_ignored), test_dropout.test_masks_depend_on_seed_step_site_and_call
    ),
    "biases taken by default": Plant(put(choose, "default_reason", biases_too), accounted(0)),
    "a tied parameter counted twice": Plant(
        put(assign, "owned_tensors", tied_twice),
        test_tied.test_a_tied_parameter_is_counted_once_in_value_and_audit,
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_the_law_holds_and_catches_the_bug(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = PLANTS[name]
    bug.law()
    bug.plant(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        bug.law()
