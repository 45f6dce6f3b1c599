"""A pack's forward and backward pass as it runs, and under torch.compile: native layers, and a module under vmap."""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from benchmarks.engines.ours import programs_of
from benchmarks.engines.seats import settle
from benchmarks.engines.workloads import WORKS
from ridgeline.lanes import Pack, Program
from ridgeline.lanes._lane_loss import batch_losses
from ridgeline.lanes._pass import Pass
from ridgeline.models import build_factory
from ridgeline.study._execute import prepared

_PASSES = 200


class Own(nn.Module):
    """A module of a person's own, which runs under vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.norm, self.head = nn.LayerNorm(64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x).relu()
        found: Tensor = self.head(h + self.second(self.norm(h)).relu())
        return found


def show(rounds: int, threads: int) -> None:
    """Milliseconds of a pass over 64 lanes in batches of 32, as medians, and the seconds of compiling."""
    settle(threads)
    native = programs_of(WORKS["mlp-64"].study().trials())
    own = [replace(each, build=lambda clock, data: build_factory(Own, {}, clock)) for each in native]
    print(f"{'':10}{'as it runs, ms':>16}{'compiled, ms':>14}{'compiling, s':>14}")
    with prepared(threads, "torch"):
        for name, programs in (("native", native), ("vmap", own)):
            plain, compiled, seconds = _passes(programs, rounds)
            print(f"{name:10}{1e3 * plain:16.2f}{1e3 * compiled:14.2f}{seconds:14.1f}", flush=True)


def _passes(programs: list[Program], rounds: int) -> tuple[float, float, float]:
    pack = Pack(programs, torch.device("cpu"), "grouped")
    state, template = pack.state, pack.state.template
    x, y = (t.contiguous() for t in state.sets["train"].read(pack.orders.rows(0), 0, len(programs)))
    native, (turn,) = state.path.kind == "native", state.turns

    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        found: Tensor = functional_call(template, weights, (x,))
        return found

    def losses(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        output = state.layer(Pass(weights, training=True), x) if native else vmap(one)(weights, x)
        return batch_losses("cross_entropy", output, y, None)

    faster = torch.compile(losses, dynamic=False)

    def whole(passes: Callable[[], object]) -> float:
        began = time.perf_counter()
        passes()
        for leaf in turn.leaves.values():
            leaf.grad = None
        return time.perf_counter() - began

    def as_it_runs() -> object:
        return state.losses(x, y, 0, "cross_entropy", None)

    def as_compiled() -> None:
        found = faster({**turn.leaves, **state.kept}, x)
        found.backward(torch.ones_like(found))

    compiling = whole(as_compiled)
    times = [(whole(as_it_runs), whole(as_compiled)) for _ in range(rounds * _PASSES)]
    return statistics.median(a for a, _ in times), statistics.median(b for _, b in times), compiling
