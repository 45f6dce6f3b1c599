"""Rules that act together: order, exemptions, shadows, near names, and everything that would be silent."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from ridgeline import L1, L2, MaxNorm, RidgelineError, Rule, param_groups, regularize
from ridgeline.penalties import Penalty
from ridgeline.select import assign, default_selection


def net() -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "encoder": nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 4)),
            "layer_norm": nn.LayerNorm(4),
            "head": nn.Linear(4, 2),
        }
    )


def given(rules: Penalty | list[Rule]) -> dict[str, Penalty]:
    return {row.name: row.penalty for row in assign(net(), rules) if row.penalty is not None}


def test_exemptions_come_first_and_the_default_takes_the_rest() -> None:
    rules = [
        Rule("head.*", None),
        Rule((nn.Linear, "bias"), L2(0.1)),
        Rule(default_selection, L1(0.2)),
    ]
    expected: dict[str, Penalty] = {
        "encoder.0.weight": L1(0.2),
        "encoder.0.bias": L2(0.1),
        "encoder.2.weight": L1(0.2),
        "encoder.2.bias": L2(0.1),
    }
    assert given(rules) == expected


def test_an_exemption_that_comes_too_late_is_refused() -> None:
    with pytest.raises(RidgelineError, match=r"the rule head\.weight matches no parameter that an earlier"):
        given([Rule("*.weight", L2(0.1)), Rule("head.weight", None)])


def test_a_rule_wholly_shadowed_by_several_earlier_ones_is_refused() -> None:
    rules = [Rule("encoder.*", L1(1)), Rule("head.*", None), Rule("layer_norm.*", None), Rule("*", L2(1))]
    with pytest.raises(RidgelineError, match=r"the rule \* matches no parameter that an earlier rule leaves"):
        given(rules)


def test_a_rule_shadowed_in_part_takes_what_is_left() -> None:
    found = given([Rule(re.compile(r"^encoder\.0"), L1(1)), Rule(nn.Linear, L2(2)), Rule("*", L2(3))])
    assert found["encoder.0.bias"] == L1(1)
    assert found["encoder.2.bias"] == found["head.weight"] == L2(2)
    assert found["layer_norm.weight"] == L2(3)


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("encoder.O.weight", "encoder.0.weight"),
        ("encoder.layer.0.weight", "encoder.0.weight"),
        ("heads.bias", "head.bias"),
        ("layernorm.weight", "layer_norm.weight"),
    ],
)
def test_a_name_that_matches_nothing_is_answered_with_the_nearest(pattern: str, near: str) -> None:
    with pytest.raises(RidgelineError, match=rf"did you mean .*'{re.escape(near)}'"):
        given([Rule(pattern, L2(1))])


def test_a_name_near_nothing_is_answered_with_all_names() -> None:
    with pytest.raises(RidgelineError, match=r"allowed: 'encoder\.0\.weight', 'encoder\.0\.bias'"):
        given([Rule("zzzz", L2(1))])


def test_regular_expressions_are_searched_and_may_be_anchored() -> None:
    assert set(given([Rule(re.compile("0.weight"), L2(1))])) == {"encoder.0.weight"}
    assert set(given([Rule(re.compile("(?i)HEAD"), L2(1))])) == {"head.weight", "head.bias"}
    with pytest.raises(RidgelineError):
        given([Rule(re.compile("^weight$"), L2(1))])


def test_predicates_see_name_module_and_parameter_in_order() -> None:
    seen: list[tuple[str, str, tuple[int, ...]]] = []

    def wide(name: str, module: nn.Module, parameter: nn.Parameter) -> bool:
        seen.append((name, type(module).__name__, tuple(parameter.shape)))
        return parameter.ndim == 2

    assert set(given([Rule("encoder.0.*", None), Rule(wide, L2(1))])) == {"encoder.2.weight", "head.weight"}
    assert seen[0] == ("encoder.1.weight", "LayerNorm", (4,))
    assert ("head.weight", "Linear", (2, 4)) in seen
    assert not any(name.startswith("encoder.0") for name, _, _ in seen)  # an earlier rule has them


def test_a_base_type_takes_its_subclasses() -> None:
    class Mine(nn.Linear):
        """A person's own linear layer."""

    model = nn.Sequential(Mine(2, 2), nn.Linear(2, 2))
    names = {row.name for row in assign(model, [Rule((Mine, "weight"), L2(1))]) if row.penalty}
    assert names == {"0.weight"}
    assert assign(model, L2(1))[0].reason == "weight of Mine"


@pytest.mark.parametrize(
    "rules", ["l2", 0.1, L2, [L2(0.1)], Rule("*", L2(0.1)), ["*"], None], ids=lambda r: type(r).__name__
)
def test_what_is_no_rule_is_refused(rules: Any) -> None:
    with pytest.raises(TypeError, match=r"allowed: one penalty, such as L2\(1e-4\), or a list of Rules"):
        regularize(net(), rules)


@pytest.mark.parametrize("penalty", [0.1, "l2", L2, nn.Linear(1, 1)], ids=str)
def test_a_rule_with_what_is_no_penalty_is_refused(penalty: Any) -> None:
    with pytest.raises(TypeError, match=r"Rule: penalty is .*; allowed: a penalty"):
        Rule("*", penalty)


def test_what_would_take_no_parameter_at_all_is_refused() -> None:
    with pytest.raises(RidgelineError, match="the list of rules is empty"):
        regularize(net(), [])
    with pytest.raises(RidgelineError, match="none of the model's 0 parameters"):
        regularize(nn.ReLU(), L2(0.1))
    with pytest.raises(RidgelineError, match="matches no parameter"):
        regularize(nn.ReLU(), [Rule("*", L2(0.1))])
    with pytest.raises(RidgelineError, match="none of the model's 10 parameters: all are exempt or frozen"):
        regularize(net(), [Rule("*", None)])
    frozen = net().requires_grad_(False)
    with pytest.raises(RidgelineError, match="all are exempt or frozen"):
        regularize(frozen, [Rule("*", L2(0.1))])
    with pytest.raises(RidgelineError, match="has no such layer that is not frozen"):
        regularize(frozen, L2(0.1))


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'decayed'; allowed: 'loss', 'coupled'"):
        regularize(net(), L2(0.1), mode="decayed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metric is 'adam'; allowed: 'optimizer', 'euclidean'"):
        regularize(net(), L2(0.1), metric="adam")  # type: ignore[arg-type]


def test_what_needs_an_optimizer_is_refused_without_one() -> None:
    for mode in ("coupled", "decoupled", "independent", "proximal"):
        with pytest.raises(ValueError, match=f"mode '{mode}' acts in optimizer.step"):
            regularize(net(), L2(0.1), mode=mode)
    for penalty in (MaxNorm(1.0), L2(0.1) + MaxNorm(1.0)):
        with pytest.raises(ValueError, match=r"a constraint acts in optimizer\.step"):
            regularize(net(), penalty)
    with pytest.raises(ValueError, match=r"mode 'proximal' acts in optimizer.step\(\), so head.weight needs"):
        regularize(net(), [Rule("head.weight", L1(0.1), mode="proximal"), Rule(default_selection, L2(0.1))])


def test_a_penalised_parameter_that_the_optimizer_lacks_is_refused() -> None:
    model = net()
    optimizer = torch.optim.SGD(model["head"].parameters(), lr=0.1)
    for mode in ("loss", "coupled", "proximal"):
        with pytest.raises(ValueError, match=r"does not hold encoder\.0\.weight, encoder\.2\.weight; add"):
            regularize(model, L2(0.1), optimizer=optimizer, mode=mode)
    reg = regularize(model, [Rule("head.weight", L2(0.1))], optimizer=optimizer, mode="coupled")
    flags = {row["name"]: row["flags"] for row in reg.audit().rows}
    assert flags["encoder.0.weight"] == ["not in the optimizer"]
    assert flags["head.bias"] == []


def test_param_groups_refuse_what_weight_decay_cannot_express() -> None:
    with pytest.raises(ValueError, match=r"encoder\.0\.weight gets L1; weight decay can express L2"):
        param_groups(net(), L1(0.1))
    with pytest.raises(ValueError, match="cannot express reduction='mean'"):
        param_groups(net(), L2(0.1, reduction="mean"))
    with pytest.raises(RidgelineError, match="matches no parameter"):
        param_groups(net(), [Rule("tail", L2(0.1))])
