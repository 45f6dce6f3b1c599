"""Selecting: which tensors are taken by default, and how rules are matched, ordered and refused."""

import functools
import re
import warnings

import pytest
import torch
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from ridgeline.errors import RidgelineError
from ridgeline.penalties import L1, L2
from ridgeline.select import Assignment, Rule, assign, default_selection
from ridgeline.select._rule import Match, plain_name


class Raw(nn.Module):
    """A module of a type that Ridgeline does not know."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(shape))


def taken(rows: list[Assignment]) -> set[str]:
    return {row.name for row in rows if row.penalty is not None}


LSTM = {f"m.weight_{kind}_l{layer}" for kind in ("ih", "hh") for layer in (0, 1)}
TABLE: list[tuple[nn.Module, set[str]]] = [
    (nn.Linear(2, 3), {"m.weight"}),
    (nn.Bilinear(2, 3, 4), {"m.weight"}),
    (nn.Conv1d(2, 3, 2), {"m.weight"}),
    (nn.Conv2d(2, 3, 2), {"m.weight"}),
    (nn.Conv3d(2, 3, 2), {"m.weight"}),
    (nn.ConvTranspose1d(2, 3, 2), {"m.weight"}),
    (nn.ConvTranspose2d(2, 3, 2), {"m.weight"}),
    (nn.ConvTranspose3d(2, 3, 2), {"m.weight"}),
    (nn.LSTM(2, 3, num_layers=2), LSTM),
    (nn.LSTM(2, 3, proj_size=1), {"m.weight_ih_l0", "m.weight_hh_l0", "m.weight_hr_l0"}),
    (nn.GRU(2, 3), {"m.weight_ih_l0", "m.weight_hh_l0"}),
    (nn.RNNCell(2, 3), {"m.weight_ih", "m.weight_hh"}),
    (nn.MultiheadAttention(4, 2, add_bias_kv=True), {"m.in_proj_weight", "m.out_proj.weight"}),
    (
        nn.MultiheadAttention(4, 2, kdim=3, vdim=2),
        {"m.q_proj_weight", "m.k_proj_weight", "m.v_proj_weight", "m.out_proj.weight"},
    ),
    (nn.Embedding(4, 2), {"m.weight"}),
    (nn.EmbeddingBag(4, 2), {"m.weight"}),
    (nn.BatchNorm1d(3), set()),
    (nn.BatchNorm2d(3), set()),
    (nn.InstanceNorm2d(3, affine=True), set()),
    (nn.LayerNorm(3), set()),
    (nn.LayerNorm((3, 2)), set()),
    (nn.GroupNorm(1, 3), set()),
    (nn.RMSNorm((3, 2)), set()),
    (nn.PReLU(3), set()),
    (Raw(), set()),
    (Raw(5), set()),
]


@pytest.mark.parametrize(("module", "expected"), TABLE, ids=lambda v: type(v).__name__)
def test_default_selection(module: nn.Module, expected: set[str]) -> None:
    model = nn.ModuleDict({"always": nn.Linear(2, 2), "m": module})
    rows = assign(model, L2(0.1))
    assert taken(rows) == expected | {"always.weight"}
    assert {row.name for row in rows} == {name for name, _ in model.named_parameters()}
    for row in rows:
        assert (row.mode is None) == (row.penalty is None)
        if row.name.startswith("m.") and row.penalty is None and "Norm" in type(module).__name__:
            assert row.reason == f"normalization ({type(module).__name__})"
        elif row.penalty is None and "bias" in row.name:
            assert row.reason == "bias"


def test_unknown_modules_are_left_with_a_warning_above_one_percent() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small = assign(nn.Sequential(nn.Linear(100, 10, bias=False), Raw(5, 2)), L2(0.1))
    assert small[1].penalty is None
    assert small[1].reason.startswith("unknown module type Raw: name it in a Rule")
    with pytest.warns(UserWarning, match=r"1% of the model's weights .*1\.table\); add a Rule"):
        assign(nn.Sequential(nn.Linear(100, 10, bias=False), Raw(11, 1)), L2(0.1))
    frozen = Raw(50, 50)
    frozen.table.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assign(nn.Sequential(nn.Linear(2, 2), frozen), L2(0.1))
        assign(
            nn.Sequential(nn.Linear(2, 2), Raw(50, 50)),
            [Rule("*.table", L1(1)), Rule(default_selection, L2(1))],
        )


def test_frozen_parameters_are_left() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].weight.requires_grad_(False)
    for rules in (L2(0.1), [Rule("*weight", L2(0.1))]):
        rows = {row.name: row for row in assign(model, rules)}
        assert taken(list(rows.values())) == {"1.weight"}
        assert rows["0.weight"].reason == "frozen"
    model[1].weight.requires_grad_(False)
    with pytest.raises(RidgelineError, match="default selection takes none of the model's 4 parameters"):
        assign(model, L2(0.1))


def test_a_tied_parameter_counts_once_with_both_names() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 3), "head": nn.Linear(3, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    (row,) = assign(model, L2(0.1))
    assert (row.name, row.tied) == ("embed.weight", ("head.weight",))
    assert row.penalty == L2(0.1)
    assert assign(model, [Rule("head.*", L1(1))])[0].penalty == L1(1)  # either name will do


def model() -> nn.Module:
    return nn.ModuleDict(
        {"body": nn.Sequential(nn.Linear(2, 2), nn.Conv1d(2, 2, 1)), "head": nn.Linear(2, 2)}
    )


BODY = {"body.0.weight", "body.0.bias", "body.1.weight", "body.1.bias"}


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("body.*", BODY),
        ("body*weight", {"body.0.weight", "body.1.weight"}),  # * crosses dots
        ("head.weight", {"head.weight"}),
        ("body.?.bias", {"body.0.bias", "body.1.bias"}),
        ("[!b]*", {"head.weight", "head.bias"}),
        (re.compile(r"\d\.bias$"), {"body.0.bias", "body.1.bias"}),
        (nn.Conv1d, {"body.1.weight", "body.1.bias"}),
        ((nn.Linear, "bias"), {"body.0.bias", "head.bias"}),
        (lambda name, module, parameter: parameter.ndim == 3, {"body.1.weight"}),
        (functools.partial(lambda leaf, name, *_: name.endswith(leaf), "0.bias"), {"body.0.bias"}),
    ],
)
def test_each_kind_of_match(match: Match, expected: set[str]) -> None:
    assert taken(assign(model(), [Rule(match, L1(1))])) == expected


def test_the_first_match_wins_and_modes_are_kept() -> None:
    rules = [Rule("head.*", None), Rule("*.weight", L1(1), mode="coupled"), Rule("*", L2(2))]
    rows = {row.name: row for row in assign(model(), rules)}
    assert {n: (row.penalty, row.mode) for n, row in rows.items()} == {
        "body.0.weight": (L1(1), "coupled"),
        "body.0.bias": (L2(2), "loss"),
        "body.1.weight": (L1(1), "coupled"),
        "body.1.bias": (L2(2), "loss"),
        "head.weight": (None, None),
        "head.bias": (None, None),
    }
    assert rows["head.bias"].reason == "rule 1: head.*"
    assert rows["body.0.bias"].reason == "rule 3: *"
    assert assign(model(), [Rule("*", L2(2))], mode="coupled")[0].mode == "coupled"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([Rule("heda.weight", L2(1))], r"heda\.weight matches no parameter.*did you mean 'head\.weight'"),
        ([Rule("HEAD.*", L2(1))], r"the rule HEAD\.\* matches no parameter"),
        ([Rule(nn.LSTM, L2(1))], "the rule LSTM matches no parameter"),
        ([Rule(re.compile("^weight"), L2(1))], "the rule /.weight/ matches no parameter"),
        (
            [Rule("*", L1(1)), Rule("head.*", L2(1))],
            r"head\.\* matches no parameter that an earlier rule leaves",
        ),
        ([Rule("*", L1(1)), Rule(default_selection, L2(1))], "an earlier rule takes them all"),
    ],
)
def test_a_rule_that_takes_nothing_is_refused(rules: list[Rule], message: str) -> None:
    with pytest.raises(RidgelineError, match=message):
        assign(model(), rules)


def test_a_wrong_rule_is_refused() -> None:
    for match in (3, None, (nn.Linear,), ("weight", nn.Linear)):
        with pytest.raises(TypeError, match=r"Rule: match is .*allowed: a glob"):
            Rule(match, L2(1))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode is 'decayed'; allowed: 'loss', 'coupled'"):
        Rule("*", L2(1), mode="decayed")  # type: ignore[arg-type]


def test_wrappers_prefixes_are_stripped() -> None:
    net = nn.Sequential(nn.Linear(2, 2), checkpoint_wrapper(nn.Sequential(nn.Linear(2, 2))))
    wrapped: nn.Module = torch.compile(nn.DataParallel(net), backend="eager")  # type: ignore[assignment]
    assert any("_orig_mod.module.1._checkpoint_wrapped_module.0" in n for n, _ in wrapped.named_parameters())
    rows = assign(wrapped, [Rule("1.0.weight", L1(1)), Rule("0.*", L2(1))])
    assert [row.name for row in rows] == ["0.weight", "0.bias", "1.0.weight", "1.0.bias"]
    assert taken(rows) == {"0.weight", "0.bias", "1.0.weight"}


def test_only_whole_prefixes_are_stripped() -> None:
    assert plain_name("my_module.weight") == "my_module.weight"
    assert plain_name("modules.module") == "modules.module"
    assert plain_name("module.module.0.weight") == "0.weight"
