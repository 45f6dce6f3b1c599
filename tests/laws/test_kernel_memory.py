"""The law of memory: a pass over 4 M weights allocates no tensor, and holds no sum, above 1 MB."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from ridgeline.penalties import L1, L2, L2SP, ElasticNet, GroupLasso, MaxNorm, Norm, Penalty
from ridgeline.regularizer import _kernels as kernels
from ridgeline.regularizer import _prox_kernels as prox_kernels
from ridgeline.regularizer._prox_kernels import ElementStep
from ridgeline.regularizer._scratch import scratch

LIMIT = (1 << 20) + (1 << 17)  # bytes; the second term for what is one number a group
PENALTIES: dict[str, Penalty] = {
    "L1": L1(0.3),
    "L2": L2(0.3),
    "ElasticNet": ElasticNet(0.3, 0.5),
    "GroupLasso": GroupLasso(0.3),
    "L1-mean": L1(0.3, reduction="mean"),
    "L1+L2": L1(0.3) + L2(0.1),
    "MaxNorm": MaxNorm(0.3),
    "Norm": Norm(0.3),
    "Norm, p = 1": Norm(0.3, p=1),
    "L2SP": L2SP(0.3, reference=torch.zeros(2048, 2048)),
}
# Newton's method over the whole tensor, or a metric and a reference together: they make some.
MORE = {("Norm", "prox in a metric"), ("L2SP", "prox in a metric")}


def peak(work: Callable[[], object]) -> int:
    """The most bytes that were alive at once during the work, beyond those before it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as record:
        work()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    alive, most = 0, 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        alive += event.nbytes()
        most = max(most, alive)
    return most


@pytest.fixture(scope="module")
def w() -> Tensor:
    return torch.randn(2048, 2048, generator=torch.Generator().manual_seed(0))


def test_the_measure_sees_a_copy(w: Tensor) -> None:
    assert peak(lambda: w.sign().sum()) >= w.numel() * 4


@pytest.mark.parametrize("work", ["value", "gradient", "decay", "prox", "prox in a metric"])
@pytest.mark.parametrize("name", PENALTIES)
def test_temporaries_stay_below_one_megabyte(name: str, work: str, w: Tensor) -> None:
    penalty, goal, state = PENALTIES[name], torch.zeros_like(w), w.abs() + 0.1
    in_metric = ElementStep(lambda v: torch.add(v, 1e-3, out=scratch(v)), 1e-3)
    jobs: dict[str, Callable[[], Any]] = {
        "value": lambda: kernels.value(penalty, w),
        "gradient": lambda: kernels.add_gradient(goal, penalty, w, 0.5),
        "decay": lambda: kernels.add_gradient(goal, penalty, goal, -0.5),
        "prox": lambda: prox_kernels.apply_prox(penalty, goal, 0.1),
        "prox in a metric": lambda: prox_kernels.apply_prox(penalty, goal, in_metric, (state,)),
    }
    if (name, work) in MORE:
        assert peak(jobs[work]) <= 20 * w.numel() * 4
    else:
        assert peak(jobs[work]) <= LIMIT
