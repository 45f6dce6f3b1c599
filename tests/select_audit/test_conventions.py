"""What each convention decays of planted models, where they differ, and what an optimizer really does."""

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.optim import LBFGS, SGD, AdamW, Optimizer

from ridgeline import L2, RidgelineError
from ridgeline.select import Comparison, assign, compare
from ridgeline.select._conventions import CONVENTIONS, ridgeline, timm
from ridgeline.select._rows import CAUSES, LABELS


class RMSNorm(nn.Module):
    """A normalization that no library knows by its type."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Scale(nn.Module):
    """LayerScale, of 1 dimension in a ViT and of 3 in a ConvNeXt."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(shape))


class ViT(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, width))
        self.rel_bias_table = nn.Parameter(torch.zeros(9, 2))
        self.norm1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, 2)
        self.ls = Scale(width)
        self.ls3 = Scale(width, 1, 1)
        self.head = nn.Linear(width, 3)


class OwnListViT(ViT):
    """A ViT that tells timm what to leave."""

    def no_weight_decay(self) -> set[str]:
        return {"cls_token", "pos_*"}


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.lora_A = nn.Parameter(torch.zeros(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))


class Mamba(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.A_log = nn.Parameter(torch.zeros(width, 2))
        self.dt_bias = nn.Parameter(torch.zeros(width))
        self.D = nn.Parameter(torch.ones(width))
        self.in_proj = nn.Linear(width, width, bias=False)
        self.final_norm = RMSNorm(width)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(6, 4)
        self.lm_head = nn.Linear(4, 6, bias=False)
        self.lm_head.weight = self.embed.weight


def cnn() -> nn.Module:
    """Batch normalization under three names, and a layer whose name sounds like a bias."""
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(1, 2, 3),
        "bn1": nn.BatchNorm2d(2),
        "norm": nn.BatchNorm2d(2),
        "gn": nn.GroupNorm(1, 2),
        "debias": nn.Linear(2, 3, bias=False),
    }
    return nn.ModuleDict(layers)


def rms() -> nn.Module:
    named = {"input_layernorm": RMSNorm(4), "ln_f": RMSNorm(4), "q_norm": RMSNorm(4), "fc": nn.Linear(4, 2)}
    named["PostLayerNorm"] = RMSNorm(4)
    return nn.ModuleDict(named)


def lora() -> nn.Module:
    return nn.Sequential(LoRA(nn.Linear(3, 4)), nn.LayerNorm(4), nn.Linear(4, 2))


def lazy() -> nn.Module:
    return nn.Sequential(nn.LazyConv2d(2, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))


def wrapped() -> nn.Module:
    return nn.DataParallel(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))


# Who decays which trainable parameters, besides a bare weight_decay=: (o)urs, (t)imm, (h)ugging Face.
MODELS: list[tuple[Callable[[], nn.Module], dict[str, str]]] = [
    (
        cnn,
        {
            "oth": "conv.weight",
            "ot": "debias.weight",
            "h": "bn1.weight gn.weight",
            "": "conv.bias bn1.bias norm.weight norm.bias gn.bias",
        },
    ),
    (
        ViT,
        {
            "oth": "attn.in_proj_weight attn.out_proj.weight head.weight",
            "th": "cls_token pos_embed ls3.gamma",
            "t": "rel_bias_table",
            "h": "ls.gamma",
            "": "norm1.weight norm1.bias attn.in_proj_bias attn.out_proj.bias head.bias",
        },
    ),
    (
        OwnListViT,
        {
            "oth": "attn.in_proj_weight attn.out_proj.weight head.weight",
            "th": "ls3.gamma",
            "t": "rel_bias_table",
            "h": "cls_token pos_embed ls.gamma",
            "": "norm1.weight norm1.bias attn.in_proj_bias attn.out_proj.bias head.bias",
        },
    ),
    (
        rms,
        {
            "oth": "fc.weight",
            "h": "ln_f.weight",
            "": "input_layernorm.weight q_norm.weight PostLayerNorm.weight fc.bias",
        },
    ),
    (lora, {"oth": "2.weight", "th": "0.lora_A 0.lora_B", "": "1.weight 1.bias 2.bias"}),
    (Mamba, {"oth": "in_proj.weight", "th": "A_log", "h": "D", "": "dt_bias final_norm.weight"}),
    (Tied, {"oth": "embed.weight"}),
    (lazy, {"oth": "0.weight 3.weight", "h": "1.weight", "": "0.bias 1.bias 3.bias"}),
    (wrapped, {"oth": "0.weight", "": "0.bias 1.weight 1.bias"}),
]
KEYS = {"ridgeline": "o", "timm": "t", "huggingface": "h"}
planted = pytest.mark.parametrize(("make", "expected"), MODELS, ids=[make.__name__ for make, _ in MODELS])


def decayed(model: nn.Module, key: str) -> set[str]:
    return {name for name, decision in CONVENTIONS[key](model).items() if decision.decays}


@planted
def test_what_each_convention_decays(make: Callable[[], nn.Module], expected: dict[str, str]) -> None:
    who = {name: letters for letters, names in expected.items() for name in names.split()}
    model = make()
    assert decayed(model, "weight_decay") == set(who)
    for key, letter in KEYS.items():
        assert decayed(model, key) == {name for name, letters in who.items() if letter in letters}


@planted
@pytest.mark.filterwarnings("ignore:.*modules of unknown type")
def test_ours_is_what_regularize_assigns(make: Callable[[], nn.Module], expected: dict[str, str]) -> None:
    model = make()
    if make is lazy:
        model(torch.zeros(2, 1, 5, 5))
    rows = assign(model, L2(0.1))
    assert {row.name: (row.penalty is not None, row.reason) for row in rows} == {
        name: (decision.decays, decision.reason) for name, decision in ridgeline(model).items()
    }


@planted
def test_every_difference_has_its_cause(make: Callable[[], nn.Module], expected: dict[str, str]) -> None:
    found = compare(make())
    notes = found.differences()
    assert {note.kind for note in notes} <= set(CAUSES)
    assert sorted(name for note in notes for name in note.names) == sorted(
        row.name for row in found.rows if row.differs()
    )
    for note in notes:
        assert note.names[0] in note.sentence


def test_a_lazy_model_is_decided_as_it_will_be() -> None:
    model = lazy()
    before = {key: decayed(model, key) for key in CONVENTIONS}
    model(torch.zeros(2, 1, 5, 5))
    assert before == {key: decayed(model, key) for key in CONVENTIONS}
    assert decayed(nn.LazyLinear(2), "timm") == decayed(nn.Linear(2, 2), "timm") == {"weight"}


def test_lazy_parameters_have_no_shape_and_no_elements() -> None:
    found = compare(lazy())
    assert {(row.shape, row.elements) for row in found.rows} == {(None, 0)}
    assert "6 of them lazy" in found.summary()


def test_the_meta_device_needs_no_storage() -> None:
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(100_000, 100_000), nn.LayerNorm(100_000))
    assert compare(model).summary().startswith("10,000,000,000 of 10,000,300,000 weights (100.0%)")


def test_a_model_of_which_nothing_would_be_penalised_is_shown_all_the_same() -> None:
    found = compare(LoRA(nn.Linear(3, 4)))
    assert found.summary().startswith("0 of 30 weights (0.0%), in 0 of 4 tensors, 2 of them frozen")
    (note,) = found.differences()
    assert note.sentence == (
        "A bare weight_decay=, timm and Hugging Face would decay lora_A and lora_B (tensors of 2 and more "
        "dimensions in modules of unknown type; 14 elements): our default leaves them (unknown module type LoRA: "
        "name it in a Rule to penalise it)."
    )


def test_a_tied_tensor_is_one_row_with_both_names() -> None:
    (row,) = compare(Tied()).rows
    assert (row.name, row.tied, row.elements) == ("embed.weight", ("lm_head.weight",), 24)


def test_a_computed_weight_is_ours_and_its_leaves_are_the_others() -> None:
    found = compare(weight_norm(nn.Linear(3, 4, bias=False)))
    assert [row.answers() for row in found.rows] == [
        (True, None, None, None),
        *[(None, True, True, True)] * 2,
    ]
    assert [row.elements for row in found.rows] == [0, 4, 12]
    assert found.summary().startswith("16 of 16 weights (100.0%), in 2 of 2 tensors")
    (note,) = found.differences()
    assert "our default acts on the weight computed from them" in note.sentence


def test_frozen_leaves_of_a_computed_weight_are_frozen() -> None:
    found = compare(weight_norm(nn.Linear(3, 4, bias=False)).requires_grad_(False))
    assert {row.ours.reason for row in found.rows} == {"frozen"}
    assert not found.penalised
    assert not found.differences()


def test_the_sentences_name_who_leaves_what_and_why() -> None:
    said = {note.names[0]: note.sentence for note in compare(cnn()).differences()}
    assert said["debias.weight"] == (
        "Our default, a bare weight_decay= and timm would decay debias.weight (weights; 6 elements): "
        "Hugging Face leaves it (the name contains bias)."
    )
    assert said["bn1.weight"] == (
        "A bare weight_decay= and Hugging Face would decay bn1.weight and gn.weight (normalization parameters; "
        "4 elements): our default leaves them, timm leaves them (1-d tensor)."
    )
    assert said["conv.bias"] == "Only a bare weight_decay= would decay conv.bias (biases; 2 elements)."


def test_conventions_that_agree_differ_nowhere() -> None:
    found = compare(nn.Linear(3, 4, bias=False))
    assert found.differences() == []
    assert found.summary() == (
        "12 of 12 weights (100.0%), in 1 of 1 tensors, would be penalised by our default; of the tensors, a bare "
        "weight_decay= would decay the same, timm the same, Hugging Face the same."
    )


def test_more_and_fewer_are_counted_apart() -> None:
    assert (
        compare(cnn())
        .summary()
        .endswith("would decay 7 more, timm the same, Hugging Face 2 more and 1 fewer.")
    )


def test_a_failing_list_of_the_model_is_named() -> None:
    class Failing(ViT):
        def no_weight_decay(self) -> set[str]:
            raise KeyError("depth")

    with pytest.raises(RidgelineError, match=r"Failing\.no_weight_decay\(\) failed \(KeyError: 'depth'\)"):
        timm(Failing())


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(RidgelineError, match="ReLU has no parameters"):
        compare(nn.ReLU())


# --- the optimizer -------------------------------------------------------------------------------------------


def split(model: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """Tensors of 2 and more dimensions, and the rest."""
    every: list[Tensor] = list(model.parameters())
    return [p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]


def grouped(model: nn.Module, weights: dict[str, Any], vectors: dict[str, Any]) -> Optimizer:
    """SGD with two groups, whose default weight_decay is 0.5."""
    first, second = split(model)
    return SGD([{"params": first, **weights}, {"params": second, **vectors}], lr=0.1, weight_decay=0.5)


def kinds(found: Comparison) -> dict[str, str]:
    return {note.kind: note.sentence for note in found.findings()}


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))


def test_a_right_optimizer_is_praised_and_nothing_else() -> None:
    model = net()
    found = compare(model, grouped(model, {"weight_decay": 0.1}, {"weight_decay": 0.0}))
    assert kinds(found) == {"same": "It decays what our default, timm and Hugging Face would."}
    assert found.groups == (
        (0.1, ("0.weight", "2.weight")),
        (0.0, ("0.bias", "1.weight", "1.bias", "2.bias")),
    )
    assert found.rows[0].decisions["optimizer"].reason == "group 0: weight_decay=0.1"


def test_balancing_groups_6_an_inverted_list_is_reported() -> None:
    """BalancingGroups#6: only biases and normalization parameters were decayed."""
    model = net()
    found = kinds(compare(model, grouped(model, {"weight_decay": 0.0}, {"weight_decay": 0.1})))
    assert set(found) == {"inverted"}
    assert (
        "(0.bias, 1.weight, 1.bias and 1 more), and none of the weights (0.weight and 2.weight)"
        in found["inverted"]
    )


def test_a_list_is_not_inverted_when_it_decays_a_weight_too() -> None:
    model = net()
    weights, vectors = split(model)
    groups: list[dict[str, Any]] = [
        {"params": [*vectors, weights[0]], "weight_decay": 0.1},
        {"params": weights[1:]},
    ]
    assert set(kinds(compare(model, SGD(groups, lr=0.1)))) == {"vectors", "undecayed"}


def test_mindcv_752_a_group_that_inherits_the_default_is_reported() -> None:
    """mindcv#752: the no-decay group without an explicit 0 inherited the optimizer's weight_decay."""
    model = net()
    found = kinds(compare(model, grouped(model, {}, {})))
    assert found["same"] == "It decays what a bare weight_decay= would."
    assert "does not say weight_decay=0 inherits the optimizer's default" in found["inherited"]
    assert "vectors" not in found
    stronger = kinds(compare(model, grouped(model, {}, {"weight_decay": 0.1})))
    assert "inherited" not in stronger
    assert "put them in a group that says weight_decay=0" in stronger["vectors"]


def test_a_bare_weight_decay_is_recognised() -> None:
    model = net()
    found = kinds(compare(model, AdamW(model.parameters(), weight_decay=0.1)))
    assert set(found) == {"same", "vectors"}
    assert found["vectors"].startswith(
        "It decays biases, normalization parameters or other vectors (0.bias, "
    )


def test_only_vectors_in_the_optimizer_are_not_an_inverted_list() -> None:
    model = net()
    found = kinds(compare(model, SGD(split(model)[1], lr=0.1, weight_decay=0.1)))
    assert "inverted" not in found
    assert found["missing"] == "It does not train 0.weight and 2.weight, which no group of it holds."


def test_parameters_missing_and_strangers() -> None:
    model, other = net(), net()
    found = compare(
        model, SGD([*other.parameters(), next(iter(model.parameters()))], lr=0.1, weight_decay=0.1)
    )
    notes = {note.kind: note for note in found.findings()}
    assert notes["strangers"].sentence.startswith("It holds 6 tensors that are not the model's")
    assert notes["missing"].names == ("0.bias", "1.weight", "1.bias", "2.weight", "2.bias")
    assert found.rows[1].decisions["optimizer"].reason == "not in the optimizer"


@pytest.mark.parametrize("make", [functools.partial(SGD, lr=0.1), LBFGS], ids=["zero", "without the setting"])
def test_an_optimizer_that_decays_nothing(make: Callable[..., Optimizer]) -> None:
    model = net()
    found = kinds(compare(model, make(model.parameters())))
    assert found == {"none": "It decays nothing: no group has a weight_decay above 0."}


def test_a_weight_without_decay_and_a_token_with_it() -> None:
    model = ViT()
    params = [model.head.weight, model.cls_token]
    ids = {id(p) for p in params}
    rest = [p for p in model.parameters() if id(p) not in ids]
    groups: list[dict[str, Any]] = [{"params": params, "weight_decay": 0.1}, {"params": rest}]
    found = kinds(compare(model, SGD(groups, lr=0.1)))
    assert set(found) == {"undecayed", "others"}
    assert found["undecayed"].startswith(
        "It does not decay attn.in_proj_weight and attn.out_proj.weight, which"
    )
    assert found["others"].startswith(
        "It decays cls_token, which our default leaves (unknown module type ViT"
    )


def test_frozen_tensors_are_not_decayed_and_not_missed() -> None:
    model = lora()
    held = [p for p in model.parameters() if p.requires_grad]
    for params in (held, list(model.parameters())):
        found = compare(model, AdamW(params, weight_decay=0.1))
        decisions = {row.name: row.decisions["optimizer"] for row in found.rows}
        assert decisions["0.base.weight"].reason == "frozen"
        assert "missing" not in kinds(found)


def test_every_convention_has_its_label() -> None:
    assert set(LABELS) == set(CONVENTIONS)
