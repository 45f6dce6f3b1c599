"""Traps of the tensor: norms, raw parameters and leaves taken for weights. One test a trap."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import ridgeline
from ridgeline import L2, regularize
from ridgeline.select import assign
from tests.traps.models import line


class Holder(nn.Module):
    """A module of a person's own with raw parameters."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.ones(shape)))


def penalised(model: nn.Module, rules: Any = L2(0.1)) -> set[str]:  # noqa: B008  # immutable
    return {row.name for row in assign(model, rules) if row.penalty is not None}


def test_s3_a_batchnorm_scale_matched_by_its_name() -> None:
    """S3: a name that contains "weight" is no weight; BatchNorm's scale is told by its type."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    assert {n for n, _ in model.named_parameters() if "weight" in n} == {"0.weight", "1.weight", "3.weight"}
    assert penalised(model) == {"0.weight", "3.weight"}


def test_transformers_35927_a_custom_rmsnorm() -> None:
    """transformers PR#35927: a person's own RMSNorm is missed by a filter on LayerNorm's type."""
    model = nn.ModuleDict({"proj": nn.Linear(4, 4), "norm": Holder(weight=(4,))})
    assert penalised(model) == {"proj.weight"}


def test_fast_llm_545_raw_parameters_of_a_state_space_layer() -> None:
    """Fast-LLM#545: a refactoring lost weight_decay=False on norms, A_log and dt_bias."""
    model = nn.ModuleDict({"mixer": Holder(A_log=(4, 2), dt_bias=(4,), D=(4,)), "proj": nn.Linear(64, 64)})
    assert penalised(model) == {"proj.weight"}
    reasons = {row.name: row.reason for row in assign(model, L2(0.1))}
    assert reasons["mixer.A_log"].startswith("unknown module type Holder")
    assert reasons["mixer.dt_bias"] == "bias"


def test_timm_layer_scale_of_four_dimensions() -> None:
    """timm: a LayerScale of shape (1, C, 1, 1) slips through the test ndim <= 1."""
    model = nn.ModuleDict({"scale": Holder(gamma=(1, 8, 1, 1)), "conv": nn.Conv2d(8, 16, 3)})
    assert penalised(model) == {"conv.weight"}


def test_timm_position_embeddings_and_class_tokens() -> None:
    """timm: position embeddings and class tokens are decayed unless the model lists them."""
    vit = nn.ModuleDict({"vit": Holder(pos_embed=(1, 5, 8), cls_token=(1, 1, 8)), "head": nn.Linear(8, 8)})
    with pytest.warns(UserWarning, match=r"vit\.pos_embed, vit\.cls_token.*add a Rule"):
        assert penalised(vit) == {"head.weight"}


def test_cpr_unknown_modules_do_not_fall_into_decay() -> None:
    """CPR: what no list knows is decayed; ours is left, marked in the audit, and warned of."""
    with pytest.warns(UserWarning, match="modules of unknown type and are not penalised"):
        reg = regularize(nn.Sequential(nn.Linear(2, 2), Holder(table=(9, 9))), L2(0.1))
    assert reg.audit().rows[2]["reason"].startswith("unknown")


def test_lightning_bolts_668_the_bias_of_a_linear_regression() -> None:
    """lightning-bolts#668, d2l: "the bias will not decay", and the code decays it."""
    model = line()
    reg = regularize(model, L2(2.0))
    torch.testing.assert_close(reg.penalty(), model.weight.square().sum())
    reg.penalty().backward()
    assert model.bias.grad is None


def test_torch_parametrize_a_leaf_that_endswith_weight_misses() -> None:
    """torch parametrize: the leaf is called original0, so endswith("weight") penalises nothing."""
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3)))
    assert not any(name.endswith("weight") for name, _ in model.named_parameters())
    reg = regularize(model, L2(2.0))
    effective = model[0].weight
    assert isinstance(effective, Tensor)
    torch.testing.assert_close(reg.penalty(), effective.square().sum())
    assert "effective weight, computed from original0, original1" in reg.audit().rows[0]["reason"]


def test_weight_norm_decaying_the_direction_is_nearly_free_of_scale() -> None:
    """weight_norm: decaying v changes no output; ours penalises the effective weight, and says so."""
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 3)))
    regularize(model, L2(2.0)).penalty().backward()
    listed: Any = model.get_submodule("0.parametrizations.weight")
    assert listed.original0.grad.norm() > 1e-2
    assert listed.original1.grad.norm() < 1e-5 * listed.original0.grad.norm()


def test_s3_p_0_counts_and_trains_nothing() -> None:
    """S3: "p = 0 is L2, p = 1 is L1" is wrong; p = 0 has no gradient and is refused with the reason."""
    weight = torch.ones(3, requires_grad=True)
    count = torch.linalg.vector_norm(weight, 0)
    assert not any(g is not None and g.any() for g in torch.autograd.grad(count, weight, allow_unused=True))
    with pytest.raises(ValueError, match="p = 0 counts the weights that are not zero; its gradient is 0"):
        ridgeline.Norm(1.0, p=0)
