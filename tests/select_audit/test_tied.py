"""Tied, frozen, lazy, sparse and unknown parameters; recurrent and attention weights; wrappers."""

import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

from ridgeline import L1, L2, RidgelineError, Rule, regularize
from ridgeline.select import assign, default_selection


class Language(nn.Module):
    """A language model whose head is its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 3)
        self.head = nn.Linear(3, 7)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(self.embedding(tokens))
        return found


class Table(nn.Module):
    """A module of unknown type."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        assert isinstance(weight, nn.Parameter)
        self.table = weight


@pytest.mark.parametrize(
    "match",
    [
        nn.Embedding,
        nn.Linear,
        (nn.Linear, "weight"),
        (nn.Embedding, "weight"),
        "head.weight",
        "embedding.*",
        lambda name, module, parameter: isinstance(module, nn.Linear) and name == "head.weight",
    ],
)
def test_a_rule_for_either_owner_takes_a_tied_parameter(match: object) -> None:
    rows = {row.name: row for row in assign(Language(), [Rule(match, L1(0.1))])}  # type: ignore[arg-type]
    assert rows["embedding.weight"].penalty == L1(0.1)
    assert rows["embedding.weight"].tied == ("head.weight",)
    assert set(rows) == {"embedding.weight", "head.bias"}


def test_a_tied_parameter_is_counted_once_in_value_and_audit() -> None:
    model = Language()
    reg = regularize(model, L2(2.0))
    torch.testing.assert_close(reg.penalty(), model.head.weight.square().sum())
    audit = reg.audit()
    assert audit.elements == sum(p.numel() for p in model.parameters()) == 28
    assert audit.rows[0]["flags"] == ["tied to head.weight"]
    assert audit.rows[0]["tied"] == "head.weight"


def test_the_default_takes_a_weight_tied_to_a_module_of_unknown_type() -> None:
    linear = nn.Linear(3, 3, bias=False)
    model = nn.ModuleList([Table(linear.weight), linear])
    (row,) = assign(model, L2(0.1))
    assert (row.name, row.reason, row.tied) == ("0.table", "weight of Linear", ("1.weight",))


def test_a_shared_module_counts_once() -> None:
    shared = nn.Linear(2, 2)
    model = nn.Sequential(shared, nn.ReLU(), nn.Sequential(shared))
    rows = assign(model, [Rule("2.0.*", L2(0.1))])
    assert [(row.name, row.tied) for row in rows] == [
        ("0.weight", ("2.0.weight",)),
        ("0.bias", ("2.0.bias",)),
    ]


def test_frozen_parameters_are_said_and_left() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    rows = {row["name"]: row for row in regularize(model, L2(0.1)).audit().rows}
    assert rows["0.weight"]["reason"] == "frozen"
    assert rows["0.weight"]["penalised"] is False
    assert rows["0.bias"]["flags"] == ["frozen"]
    assert rows["1.weight"]["penalised"] is True


def test_lazy_parameters_are_refused_with_the_remedy_and_taken_after_a_batch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces lazy modules
        model = nn.Sequential(nn.LazyConv1d(2, 3), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(RidgelineError, match=r"0\.weight of the lazy module LazyConv1d .* push one batch"):
        regularize(model, L2(0.1))
    model(torch.zeros(1, 3, 5))
    reg = regularize(model, L2(0.1))
    assert set(reg.terms()) == {"0.weight", "2.weight"}


def test_sparse_gradients_are_refused_with_the_reason() -> None:
    for layer in (nn.Embedding(4, 2, sparse=True), nn.EmbeddingBag(4, 2, sparse=True)):
        model = nn.Sequential(layer, nn.Linear(2, 2))
        with pytest.raises(
            ValueError, match=r"0\.weight has sparse gradients: .* every step dense.*sparse=False"
        ):
            regularize(model, L2(0.1))
        reg = regularize(model, [Rule("0.weight", None), Rule(default_selection, L2(0.1))])
        assert set(reg.terms()) == {"1.weight"}


def test_attention_projections_are_taken_together_and_apart() -> None:
    together = regularize(nn.MultiheadAttention(4, 2), L2(0.1))
    assert set(together.terms()) == {"in_proj_weight", "out_proj.weight"}
    apart = regularize(nn.MultiheadAttention(4, 2, kdim=3, vdim=5), L2(0.1))
    assert set(apart.terms()) == {"q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"}


def test_a_transformer_layer_is_taken_without_its_norms() -> None:
    rows = assign(nn.TransformerEncoderLayer(4, 2, dim_feedforward=8), L2(0.1))
    taken = {row.name for row in rows if row.penalty}
    assert taken == {
        "self_attn.in_proj_weight",
        "self_attn.out_proj.weight",
        "linear1.weight",
        "linear2.weight",
    }


def test_recurrent_weights_are_taken_in_both_directions() -> None:
    reg = regularize(nn.GRU(2, 3, bidirectional=True), L2(0.1))
    assert set(reg.terms()) == {f"weight_{k}_l0{end}" for k in ("ih", "hh") for end in ("", "_reverse")}


def test_the_warning_of_unknown_modules_gives_the_share_and_three_names() -> None:
    model = nn.Sequential(nn.Linear(4, 4), *(Table(nn.Parameter(torch.ones(4, 4))) for _ in range(4)))
    with pytest.warns(
        UserWarning, match=r"^76% of the model's .*\(1\.table, 2\.table, 3\.table\); add a Rule"
    ):
        reg = regularize(model, L2(0.1))
    assert set(reg.terms()) == {"0.weight"}
    rows = reg.audit().rows
    assert rows[2]["reason"] == "unknown module type Table: name it in a Rule to penalise it"


def test_wrappers_names_are_stripped_in_terms_and_audit() -> None:
    plain = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
    wrapped: nn.Module = torch.compile(  # type: ignore[assignment]
        nn.DataParallel(nn.Sequential(plain[0], checkpoint_wrapper(plain[1]))), backend="eager"
    )
    reg = regularize(wrapped, [Rule("1.0.weight", L1(0.5)), Rule(default_selection, L2(0.5))])
    same = regularize(plain, [Rule("1.0.weight", L1(0.5)), Rule(default_selection, L2(0.5))])
    assert list(reg.terms()) == list(same.terms()) == ["0.weight", "1.0.weight"]
    assert [row["name"] for row in reg.audit().rows] == [name for name, _ in plain.named_parameters()]
    assert torch.equal(reg.penalty(), same.penalty())


def test_a_child_called_module_keeps_its_own_name_where_another_has_it() -> None:
    class Outer(nn.Linear):
        """A linear layer with a child that is called as wrappers call theirs."""

        def __init__(self) -> None:
            super().__init__(2, 2)
            self.module = nn.Linear(2, 3)

    reg = regularize(Outer(), L2(0.1))
    assert set(reg.terms()) == {"weight", "module.weight"}
    torch.testing.assert_close(reg.penalty(), torch.stack(list(reg.terms().values())).sum())
