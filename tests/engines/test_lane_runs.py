"""Whole runs: a lane is the trial that solo gives, as far as chaos lets it be said; lanes live and die alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ridgeline.data import Data
from ridgeline.lanes import EarlyStopping, NotStackableError, Outcome, Program, train
from ridgeline.lanes._program import batches
from ridgeline.lanes._solo import Trial
from ridgeline.noise import Clock
from ridgeline.penalties import L2
from ridgeline.select import Rule
from tests.engines.lanes import (
    ADAM,
    ADAMW,
    IMAGES,
    NESTEROV,
    RMSPROP_MOMENTUM,
    SGD,
    Attention,
    ResidualNetwork,
    as_doubles,
    doubled,
    family,
    packed,
    rule,
    with_training,
)
from tests.engines.worlds import CPU, classes, named, numbers, own, same


def solo(programs: Sequence[Program]) -> list[Outcome]:
    """The oracle."""
    return [train(each, CPU) for each in programs]


def reversed_batches(each: Program, steps: int) -> dict[str, Tensor]:
    """Solo's weights with the examples of each batch in reverse: the same mathematics, rounded otherwise."""
    with torch.random.fork_rng(devices=[]):
        trial = Trial(each, CPU)
        trial.model.train()
        for index in batches(len(trial.train_set), each.training.batch_size, each.seed, steps):
            trial.update(index.flip(0))
    return {name: w.detach() for name, w in trial.model.state_dict().items()}


@pytest.mark.parametrize("wide", [False, True], ids=["float32", "float64"])
@pytest.mark.parametrize(
    "settings",
    [SGD, NESTEROV, ADAM, ADAMW, RMSPROP_MOMENTUM],
    ids=["sgd", "nesterov", "adam", "adamw", "rmsprop"],
)
@pytest.mark.parametrize("name", ["mlp", "cnn", "residual", "attention"])
def test_a_run_stays_as_near_to_solo_as_solo_to_itself(
    name: str, settings: dict[str, Any], wide: bool
) -> None:
    data, build = {
        "mlp": (classes(), named("mlp", hidden=[7, 5])),
        "cnn": (IMAGES, named("cnn", channels=[3], hidden=5)),
        "residual": (IMAGES, own(ResidualNetwork)),
        "attention": (classes(), own(Attention, dropout=0.0)),
    }[name]
    steps = 200 if wide else 50
    data, build = (as_doubles(data), doubled(build)) if wide else (data, build)
    rules = [[], [] if "weight_decay" in settings else rule("L2-loss")]
    programs = family(data, build, rules, [0, 1], steps=steps, evaluate_every=50, **settings)
    for each, lane, alone in zip(programs, packed(programs), solo(programs), strict=True):
        with torch.random.fork_rng(devices=[]):
            start = Trial(each, CPU).model.state_dict()
        other = reversed_batches(each, steps)
        for key in start:
            if not start[key].is_floating_point():
                continue
            moved = float((alone.weights[key] - start[key]).norm())
            chaos = float((other[key] - alone.weights[key]).norm())
            apart = float((lane.weights[key] - alone.weights[key]).norm())
            assert apart <= max((1e-12 if wide else 1e-5) * moved, 30 * chaos), key


def agree(lanes: Sequence[Outcome], alone: Sequence[Outcome], rel: float = 1e-4) -> None:
    """The same columns, steps, status and numbers, to rounding."""
    for a, b in zip(lanes, alone, strict=True):
        assert (a.status, a.steps, a.best_step) == (b.status, b.steps, b.best_step)
        assert list(a.curves) == list(b.curves)
        for name in b.curves:
            assert [v is None for v in a.curves[name]] == [v is None for v in b.curves[name]], name
            ours, theirs = ([0.0 if v is None else v for v in o.curves[name]] for o in (a, b))
            assert ours == pytest.approx(theirs, rel=rel, abs=1e-6), name
        assert a.audit == b.audit
        assert list(a.weights) == list(b.weights)
        assert {n: e.losses.shape for n, e in a.last.items()} == {
            n: e.losses.shape for n, e in b.last.items()
        }
        for mine, its in ((a.last, b.last), (a.best, b.best)):
            for name in its:
                torch.testing.assert_close(mine[name].losses, its[name].losses, rtol=1e-3, atol=1e-5)


def test_records_are_those_of_solo() -> None:
    sets = {
        "head": ("train", 0, 9),
        "all": ("test", None, None),
        "tail": ("epoch", 30, None),
        "batch_": ("batch", None, None),
    }
    build = named("mlp", hidden=[7], dropout=0.2)
    rules = [[], rule("L2-loss"), rule("L1-proximal"), rule("L2-decoupled")]
    programs = family(
        classes(), build, rules, [0, 1, 1, 2], sets=sets, train_examples=20, clip_norm=1.0, **ADAM
    )
    agree(packed(programs), solo(programs))
    line = family(numbers(), named("linear"), rules, [0, 1, 1, 2], **{**SGD, "lr": 0.02})
    agree(packed(line), solo(line))


def test_lanes_stop_early_one_by_one_and_keep_their_best_weights() -> None:
    build = named("mlp", hidden=[16])
    programs = family(classes(), build, [[]] * 6, [0, 1, 2, 3, 4, 5], steps=120, evaluate_every=4, lr=0.5)
    patient = [EarlyStopping(patience=k) for k in (1, 2, 3, 5, 8)]
    programs = [
        replace(p, training=replace(p.training, early_stopping=stop))
        for p, stop in zip(programs, [*patient, None], strict=True)
    ]
    found, alone = packed(programs), solo(programs)
    agree(found, alone)
    assert len({each.steps for each in found}) > 2
    assert any(each.best_step != each.steps for each in found)


def test_a_lane_that_diverges_is_reported_with_its_step_and_the_others_go_on() -> None:
    programs = family(numbers(), named("mlp", hidden=[7]), [[]] * 4, [0, 1, 2, 3], steps=40, **SGD)
    programs[2] = replace(programs[2], training=replace(programs[2].training, lr=1e4))
    found, alone = packed(programs), solo(programs)
    assert [each.status for each in found] == ["done", "done", "diverged", "done"]
    assert (found[2].steps, found[2].best_step, found[2].last) == (alone[2].steps, None, {})
    agree([found[k] for k in (0, 1, 3)], [alone[k] for k in (0, 1, 3)])


def test_one_trial_and_equal_trials_are_packs_too() -> None:
    (each,) = family(classes(), named("mlp", hidden=[7], dropout=0.5), [rule("L2-loss")], [4], **ADAM)
    agree(packed([each]), solo([each]))
    agree(packed([each] * 3), solo([each] * 3))


def test_progress_is_told_and_the_global_generator_left_alone() -> None:
    programs = family(classes(), named("mlp", hidden=[7], dropout=0.5), [[]] * 3, [0, 1, 2], **SGD)
    told: list[int] = []
    before = torch.random.get_rng_state()
    packed(programs, on_steps=told.append)
    assert torch.equal(before, torch.random.get_rng_state())
    assert told == [15] * 4


def test_trials_of_different_shapes_are_refused() -> None:
    a = family(classes(), named("mlp", hidden=[7]), [[]], [0])
    b = family(classes(), named("mlp", hidden=[8]), [[]], [0])
    with pytest.raises(NotStackableError, match="parameters of different shapes"):
        packed([*a, *b])
    with pytest.raises(NotStackableError, match="different settings"):
        packed([*a, *with_training(a, batch_size=9)])


def test_what_solo_refuses_a_pack_refuses() -> None:
    programs = family(classes(), named("mlp", hidden=[7]), [[Rule("*.nothing", L2(0.1))]] * 2, [0, 1])
    with pytest.raises(ValueError, match="matches no parameter"):
        packed(programs)


def test_equal_models_are_built_once_and_each_has_its_own_weights() -> None:
    """Lanes of one seed that differ in strength only, and one of another seed."""
    built: list[int] = []

    def build(clock: Clock, data: Data) -> nn.Module:
        built.append(clock.seed)
        return named("mlp", hidden=[5])(clock, data)

    rules = [rule("L2-coupled", 1 + k) for k in range(3)]
    many = family(classes(), build, [*rules, rules[0]], [0, 0, 0, 1], **ADAM)
    plain = packed(many)
    assert sorted(built) == [0, 0, 0, 1]
    built.clear()
    found = packed([replace(each, model_key="mlp") for each in many])
    assert sorted(built) == [0, 1]
    assert all(same(a, b) for a, b in zip(plain, found, strict=True))
