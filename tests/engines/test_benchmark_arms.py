"""The benchmark's arms do the same work: from equal weights, on batches that are the whole set, they end alike.

A batch of everything makes the order of examples meaningless, in which the arms differ.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import pytest
from torch import Tensor

from benchmarks.engines import jax_lanes, model_batch, ours, torch_loops
from benchmarks.engines.workloads import WORKS, Asked, Ended, Work
from ridgeline.noise import Clock
from ridgeline.study._plan import EngineName

Start: TypeAlias = Mapping[str, Tensor]
ALL = 80  # examples of the training set


def small(name: str) -> Work:
    """The row, narrower, on two lanes for a few steps, with rates at which they make a difference."""
    work = WORKS[name]
    hidden = tuple(min(width, 12) for width in work.hidden) if work.hidden else work.hidden
    lr = {"linear-200": 0.05, "mlp-dropout": 0.5}.get(name, 1e-2)
    return replace(
        work,
        hidden=hidden,
        batch=ALL,
        examples=ALL,
        steps=2 if name == "conv" else 4,
        lanes=2,
        lr=lr,
        dropout=0.0,
        weakest=0.1,
    )


def starts(work: Work) -> list[Start]:
    """Each lane's first weights, as ridgeline draws them."""
    programs = ours.programs_of(work.study().trials())
    models = [program.build(Clock(program.seed), program.data) for program in programs]
    return [{name: w.detach() for name, w in model.state_dict().items()} for model in models]


def ridgeline(work: Work, engine: EngineName) -> list[Ended]:
    plan, pieces = ours.planned(work, engine)
    assert plan.engine == engine
    return [ended for piece in pieces for ended in ours.train_piece(work, piece)]


Arm: TypeAlias = Callable[[Work, list[Start]], list[Ended]]


def by_loop(loop: Callable[[Work, Asked, Start], Ended]) -> Arm:
    return lambda work, first: [loop(work, *each) for each in zip(work.asked(), first, strict=True)]


def by_jax(work: Work, first: list[Start]) -> list[Ended]:
    pytest.importorskip("jax", reason="jax is not installed")
    arrays = [{name: w.numpy() for name, w in each.items()} for each in first]
    return jax_lanes.trained(work, warm=False, start=arrays)


def by_model_batch(work: Work, first: list[Start]) -> list[Ended]:
    pytest.importorskip("modelbatch", reason="modelbatch is not installed")
    return model_batch.trained(work, first)


ARMS: dict[str, Arm] = {
    "tutorial": by_loop(torch_loops.tutorial),
    "tuned": by_loop(torch_loops.tuned),
    "lanes": lambda work, first: ridgeline(work, "lanes"),
    "jax": by_jax,
    "modelbatch": by_model_batch,
}
ROWS = ["linear-200", "mlp-64", "mlp-dropout", "conv"]  # the other rows differ from these in widths only


def apart(a: list[Ended], b: list[Ended]) -> float:
    """The largest relative difference between losses of the same trials."""
    pairs = zip(a, b, strict=True)
    return max(abs(x / y - 1) for p, q in pairs for x, y in zip(p[1:3], q[1:3], strict=True))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_learns_what_solo_learns(name: str, arm: str) -> None:
    work = small(name)
    assert apart(ARMS[arm](work, starts(work)), ridgeline(work, "solo")) < 1e-4


@pytest.mark.parametrize("arm", [*ARMS, "solo"])
def test_units_are_dropped_in_every_arm(arm: str) -> None:
    """Their noise differs, so that only its presence is compared."""
    work = small("mlp-dropout")
    arms: dict[str, Arm] = {**ARMS, "solo": lambda work, first: ridgeline(work, "solo")}
    dropped, kept = (arms[arm](each, starts(work)) for each in (replace(work, dropout=0.5), work))
    assert apart(dropped, kept) > 1e-3


@pytest.mark.parametrize("name", ROWS[:3])
def test_other_work_would_be_seen(name: str) -> None:
    """A step more, another rate, or another strength changes the losses by more than arms may differ."""
    work = small(name)
    ours = ridgeline(work, "solo")
    changed = [
        replace(work, steps=work.steps + 1),
        replace(work, lr=1.1 * work.lr),
        replace(work, weakest=1.2 * work.weakest),
    ]
    for other in changed:
        assert apart(ridgeline(other, "solo"), ours) > 1e-3
