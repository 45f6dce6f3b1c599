"""Traps of rules: regularizers that match nothing, too much, or the opposite. One test a trap."""

import re
from typing import Any

import pytest
import torch
from torch import nn

from ridgeline import L1, L2, RidgelineError, Rule, assert_acting, param_groups, regularize
from ridgeline.select import assign, default_selection
from tests.traps.models import line, mlp


def penalised(model: nn.Module, rules: Any = L2(0.1)) -> set[str]:  # noqa: B008  # immutable
    return {row.name for row in assign(model, rules) if row.penalty is not None}


def test_avod_94_a_regularizer_that_matches_nothing() -> None:
    """avod#94, OpenSeq2Seq#127, AllenNLP's regexes: a regularizer is configured and acts on nothing."""
    with pytest.raises(RidgelineError, match=r"matches no parameter .*did you mean .*'0\.weight'"):
        regularize(mlp(), [Rule("O.weight", L2(5e-4))])


def test_tf1_apply_regularization_no_weights_to_regularize() -> None:
    """TF1 contrib raises 'No weights to regularize.' on an empty collection: so do we."""
    with pytest.raises(RidgelineError, match="takes none of the model's 2 parameters"):
        regularize(nn.Sequential(nn.LayerNorm(4)), L2(0.1))


def test_cpr_parameters_in_place_of_the_model() -> None:
    """CPR: AdamCPR(model.parameters()) regularizes nothing; only a module has names and types."""
    with pytest.raises(TypeError, match=r"the model is generator; it must be the nn.Module"):
        regularize(mlp().parameters(), L2(0.1))


@pytest.mark.parametrize("name", ["layer_norm", "LayerNorm", "norm1", "ln_f"])
def test_transformers_42754_both_spellings_of_layer_norm(name: str) -> None:
    """transformers#42754: "LayerNorm.weight" never matched the real layer_norm.weight in ten places."""
    model = nn.ModuleDict({"dense": nn.Linear(4, 4), name: nn.LayerNorm(4)})
    assert penalised(model) == {"dense.weight"}
    wrong = "LayerNorm.weight" if name != "LayerNorm" else "layer_norm.weight"
    with pytest.raises(RidgelineError, match="matches no parameter"):
        regularize(model, [Rule(wrong, None), Rule(default_selection, L2(0.1))])


def test_mindcv_752_the_group_without_decay_says_so() -> None:
    """mindcv#752: a no-decay group without an explicit 0 inherits the optimizer's default."""
    model = mlp()
    groups = param_groups(model, L2(0.01))
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5)
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.01, 0.0]
    held = [p for g in optimizer.param_groups for p in g["params"]]
    assert {id(p) for p in held} == {id(p) for p in model.parameters()}
    assert len(held) == len(list(model.parameters()))


def test_balancing_groups_6_an_inverted_list() -> None:
    """BalancingGroups#6: biases and norms were decayed, weights were not; the audit shows either kind."""
    model = mlp()
    bare = [p for p in model.parameters() if p.ndim < 2]
    kernels = [p for p in model.parameters() if p.ndim > 1]
    groups: list[dict[str, Any]] = [{"params": bare, "weight_decay": 0.1}, {"params": kernels}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    flagged = {r["name"] for r in regularize(model, L2(0.1), optimizer=optimizer).audit().rows if r["flags"]}
    assert flagged == {"0.bias", "1.weight", "1.bias", "3.bias"}
    inverted = regularize(model, [Rule("*.bias", L2(0.1)), Rule("1.weight", L2(0.1))]).audit()
    assert inverted.title == "25 of 65 weights are penalised (38.5%)"
    assert not inverted.rows[0]["penalised"]


def test_image_classification_31_an_option_for_batchnorm_that_hits_others() -> None:
    """pytorch_image_classification#31: the option for BN also took FC biases from the decay."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    left = {n for n, _ in model.named_parameters()} - penalised(
        model, [Rule(nn.BatchNorm2d, None), Rule("*", L2(0.1))]
    )
    assert left == {"1.weight", "1.bias"}


def test_returnn_1319_nested_modules_are_visited_once() -> None:
    """RETURNN#1319: modules × named_parameters visits each parameter once a level."""
    inner = nn.Linear(3, 3, bias=False)
    model = nn.Sequential(nn.Sequential(nn.Sequential(inner)), nn.ModuleDict({"again": inner}))
    reg = regularize(model, L2(2.0))
    torch.testing.assert_close(reg.penalty(), inner.weight.square().sum())
    assert reg.audit().rows[0]["tied"] == "1.again.weight"


def test_deepxde_1884_a_penalty_over_external_variables() -> None:
    """deepxde#1884: L1 ran over trainable variables outside the network too."""
    model, outside = line(), nn.Parameter(torch.ones(5, 5))
    optimizer = torch.optim.SGD([*model.parameters(), outside], lr=0.1)
    reg = regularize(model, L1(1.0), optimizer=optimizer, mode="decoupled")
    outside.grad = torch.zeros_like(outside)
    optimizer.step()
    assert bool((outside == 1).all())
    assert set(reg.terms()) == {"weight"}
    with pytest.raises(AssertionError, match="none of the model's 2 parameters"):
        assert_acting(outside.abs().sum(), model)


def test_autrainer_166_the_default_is_explained() -> None:
    """autrainer#166, ultralytics#19064: "how is it decided which parameters": each row has its reason."""
    reasons = {row["name"]: row["reason"] for row in regularize(mlp(), L2(0.1)).audit().rows}
    assert reasons == {
        "0.weight": "weight of Linear",
        "0.bias": "bias",
        "1.weight": "normalization (LayerNorm)",
        "1.bias": "normalization (LayerNorm)",
        "3.weight": "weight of Linear",
        "3.bias": "bias",
    }


def test_torchtitan_2599_ordered_groups_first_match_wins() -> None:
    """torchtitan#2599, fairseq2#1332: ordered regular expressions with a rate each."""
    rules = [Rule(re.compile(r"^3\."), None), Rule(re.compile("weight"), L2(0.5))]
    assert penalised(mlp(), rules) == {"0.weight", "1.weight"}
