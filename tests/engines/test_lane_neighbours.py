"""Lanes keep to themselves: neighbours, place and number of lanes change no bit of one; nor does who leaves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ridgeline.data import Data, Splits, draw
from ridgeline.data._examples import ArrayExamples
from ridgeline.lanes import Outcome, Program
from ridgeline.lanes._feed import lane_set
from ridgeline.lanes._linear import Linear
from ridgeline.lanes._pass import Pass, Sink
from ridgeline.lanes._stack import layout_of
from ridgeline.lanes._updates import Rule, rule_for
from ridgeline.penalties import L1, L2
from ridgeline.select import Rule as PenaltyRule
from tests.engines.lanes import (
    ADAM,
    IMAGES,
    NESTEROV,
    RMSPROP_MOMENTUM,
    SGD,
    ResidualNetwork,
    family,
    layered,
    packed,
    rule,
)
from tests.engines.worlds import CPU, classes, named, numbers, own, program, same

CASES: dict[str, tuple[Any, Any, dict[str, Any], Rule]] = {
    "mlp-adam-grouped": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), ADAM, "grouped"),
    "mlp-adam-broadcast": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), ADAM, "broadcast"),
    "mlp-nesterov": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), NESTEROV, "broadcast"),
    "mlp-rmsprop": (classes(), named("mlp", hidden=[7, 5], dropout=0.3), RMSPROP_MOMENTUM, "broadcast"),
    "linear-sgd": (numbers(), named("linear"), {**SGD, "lr": 0.02, "batch_size": 1}, "broadcast"),
    "layered-adam": (IMAGES, own(layered), ADAM, "grouped"),
    "residual-sgd": (IMAGES, own(ResidualNetwork), SGD, "broadcast"),
}
RULES = [
    [],
    rule("L2-coupled"),
    rule("L1-proximal"),
    rule("L2-loss", 0.5),
    rule("L1-decoupled"),
    rule("sum-proximal"),
]


def trials(name: str, count: int) -> tuple[list[Program], Rule]:
    """Programs of one case with penalties of several kinds, several seeds and two learning rates."""
    data, build, settings, kind = CASES[name]
    rules = [RULES[k % len(RULES)] for k in range(count)]
    return family(data, build, rules, [k // 3 for k in range(count)], steps=12, **settings), kind


def equal(found: Sequence[Outcome], expected: Sequence[Outcome]) -> None:
    """Equal bit for bit, one by one."""
    assert [same(a, b) for a, b in zip(found, expected, strict=True)] == [True] * len(expected)


@pytest.mark.parametrize("name", CASES)
def test_place_and_number_of_lanes_change_no_bit(name: str) -> None:
    many, kind = trials(name, 64)
    whole = packed(many, rule=kind)
    for chosen in ([5, 40], [63, 0, 17], list(reversed(range(0, 64, 7)))):
        equal(packed([many[k] for k in chosen], rule=kind), [whole[k] for k in chosen])


@pytest.mark.parametrize("name", CASES)
def test_a_lane_alone_in_its_pack_is_the_lane(name: str) -> None:
    """It gets company, which leaves nothing behind."""
    many, kind = trials(name, 3)
    whole = packed(many, rule=kind)
    for place in range(3):
        equal(packed([many[place]], rule=kind), [whole[place]])


def spoilt(each: Program, lr: float) -> Program:
    """The program with a learning rate that sends its weights beyond all numbers, or far away."""
    return replace(each, training=replace(each.training, lr=lr), rules=[])


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("residual-sgd", "layered-adam")])
def test_a_neighbour_that_diverges_changes_no_bit_of_the_others(name: str) -> None:
    many, kind = trials(name, 5)
    whole = packed(many, rule=kind)
    for lr in (1e30, 50.0):
        others = [*many[:2], spoilt(many[2], lr), *many[3:]]
        found = packed(others, rule=kind)
        equal([found[k] for k in (0, 1, 3, 4)], [whole[k] for k in (0, 1, 3, 4)])
    assert packed([*many[:2], spoilt(many[2], 1e30)], rule=kind)[2].status == "diverged"


def test_nan_weights_of_a_neighbour_pass_through_every_penalty() -> None:
    from ridgeline.lanes._pack import Pack
    from tests.engines.lanes import PENALTIES

    for name in PENALTIES:
        ends = []
        for bad in (False, True):
            programs = family(classes(), named("mlp", hidden=[7]), [rule(name)] * 3, [0, 1, 2], **ADAM)
            pack = Pack(programs, CPU)
            if bad:
                for view in pack.state.views.values():
                    view[1] = float("nan")
            for _ in range(3):
                pack.update()
            ends.append(pack.state.weights.clone())
            views = pack.state.layout.views(ends[-1], 3)
            ends[-1] = torch.cat([view[[0, 2]].flatten() for view in views.values()])
        assert torch.equal(*ends), name
        assert bool(torch.isfinite(ends[0]).all())


def test_the_rule_follows_from_how_many_settings_there_are() -> None:
    many, _ = trials("mlp-adam-grouped", 64)
    assert rule_for([p.training for p in many]) == "grouped"
    assert rule_for([p.training for p in many[:2]]) == "broadcast"
    assert rule_for([many[0].training]) == "grouped"
    assert rule_for([p.training for p in trials("mlp-nesterov", 64)[0]]) == "broadcast"
    assert rule_for([p.training for p in trials("mlp-rmsprop", 64)[0]]) == "broadcast"


def test_both_rules_are_adam() -> None:
    many, _ = trials("mlp-adam-grouped", 6)
    for a, b in zip(packed(many, rule="grouped"), packed(many, rule="broadcast"), strict=True):
        for name in a.weights:
            torch.testing.assert_close(a.weights[name], b.weights[name], rtol=1e-4, atol=1e-5)


def test_strength_0_changes_no_bit() -> None:
    data, build, settings, _ = CASES["mlp-adam-grouped"]
    none = [PenaltyRule("*.weight", kind(0.0)) for kind in (L1, L2)]
    some = [PenaltyRule("*.weight", kind(0.1)) for kind in (L1, L2)]
    for zero, acting in zip(none, some, strict=True):
        found = packed(
            family(data, build, [[zero], [acting], []], [3, 4, 3], steps=12, **{**settings, "lr": 0.01})
        )
        plain = packed(family(data, build, [[], [], []], [3, 4, 3], steps=12, **{**settings, "lr": 0.01}))
        assert same(found[2], plain[2])
        assert all(torch.equal(found[0].weights[name], plain[0].weights[name]) for name in plain[0].weights)


@pytest.mark.parametrize("outputs", [1, 7, 9, 31, 64])
@pytest.mark.parametrize("inputs", [1, 5, 13, 33, 64, 128])
def test_a_linear_layer_of_any_size_rounds_by_nothing_but_its_lane(inputs: int, outputs: int) -> None:
    """Products round by where their operands and, some of them, their results lie in memory."""
    layer = Linear("w", "b")
    layout = layout_of({"w": torch.empty(outputs, inputs), "b": torch.empty(outputs)})
    numbers = torch.Generator().manual_seed(0)
    weights = {"w": torch.randn(7, outputs, inputs, generator=numbers)}
    weights["b"] = torch.randn(7, outputs, generator=numbers)

    def run(x: Tensor, g: Tensor, lanes: slice) -> list[Tensor]:
        leaves = {}
        for name, view in layout.views(layout.empty(len(x)), len(x)).items():
            leaves[name] = view.copy_(weights[name][lanes]).requires_grad_()
        slopes = layout.views(layout.empty(len(x)), len(x))
        x = x.clone().requires_grad_()
        y = layer(Pass(leaves, True, Sink(slopes)), x)
        y.backward(g)
        assert x.grad is not None
        return [y.detach(), x.grad, slopes["w"], slopes["b"]]

    for examples in (1, 5, 8, 37):
        x = torch.randn(7, examples, inputs, generator=numbers)
        g = torch.randn(7, examples, outputs, generator=numbers)
        whole, part = run(x, g, slice(0, 7)), run(x[2:5], g[2:5], slice(2, 5))
        assert all(torch.equal(a[2:5], b) for a, b in zip(whole, part, strict=True)), examples


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("inputs", [1, 7, 13, 64, 200, 1025])
def test_one_output_rounds_alike_whether_lanes_share_their_examples(inputs: int, dtype: torch.dtype) -> None:
    layer, numbers = Linear("w", "b"), torch.Generator().manual_seed(0)
    w = torch.randn(40, 1, inputs, generator=numbers).to(dtype)
    b = torch.randn(40, 1, generator=numbers).to(dtype)
    for examples in (1, 5, 100, 335):
        x = torch.randn(examples, inputs, generator=numbers).to(dtype)

        def run(lanes: list[int], x: Tensor) -> Tensor:
            return layer(Pass({"w": w[lanes], "b": b[lanes]}, training=False), x)

        whole = run(list(range(40)), x.expand(40, *x.shape))
        exact = x.double() @ w.mT.double() + b[:, None]
        torch.testing.assert_close(
            whole.double(), exact, rtol=0.0, atol=50 * torch.finfo(dtype).eps * inputs**0.5
        )
        for lanes in ([3], [39, 5], list(range(17))):
            shared, apart = x.expand(len(lanes), *x.shape), x.repeat(len(lanes), 1, 1)
            assert torch.equal(run(lanes, shared), whole[lanes])
            assert torch.equal(run(lanes, apart), whole[lanes])


def test_lanes_of_other_data_change_no_bit_where_images_lie_channels_last() -> None:
    def drawn(seed: int) -> Data:
        numbers = torch.Generator().manual_seed(seed)

        def part(n: int) -> tuple[Tensor, Tensor]:
            x = torch.randn(n, 16, 16, 4, generator=numbers).permute(0, 3, 1, 2)
            return x, torch.randint(3, (n,), generator=numbers)

        splits = Splits(train=part(40), val=part(30))
        return draw(lambda _: splits, 0)

    def network() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 3)
        )

    same_data, other = drawn(0), drawn(1)
    many = [program(same_data, own(network), seed=k, steps=2, evaluate_every=1) for k in range(2)]
    more = [*many, program(other, own(network), seed=2, steps=2, evaluate_every=1)]
    equal(packed(more, rule="broadcast")[:2], packed(many, rule="broadcast"))


def test_sets_end_to_end_lie_like_a_batch_of_them() -> None:
    """When only lanes of one of the sets are left, they read it without a copy."""
    random = torch.Generator().manual_seed(0)
    images = [torch.randn(12, 5, 5, 3, generator=random).permute(0, 3, 1, 2) for _ in range(2)]
    sets = [ArrayExamples(x, torch.zeros(12), torch.arange(12)) for x in images]
    left = lane_set([sets[0], sets[1], sets[1]], CPU).of(torch.tensor([1, 2]))
    x, _ = left.part(0, 12, 0, 2)
    assert torch.equal(x[0], images[1])
    assert x.stride()[1:] == torch.empty(12, 3, 5, 5).stride()


def test_a_persons_own_autocast_around_a_pack_is_left_outside() -> None:
    many, kind = trials("mlp-nesterov", 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert [each.status for each in packed(many, rule=kind)] == ["done", "done"]
