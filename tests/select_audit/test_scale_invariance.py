"""The scale-invariance probe: who is called so, and who is not."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from tests.select_audit.probing import IMAGES, RMS, TOKENS, Own, X, first, flagged, old, ready

# --- yes ----------------------------------------------------------------------------------------------


def depthwise() -> nn.Module:
    conv = nn.Conv2d(3, 3, 1, groups=3)
    nn.init.constant_(conv.weight, 0.5)
    return conv


BEFORE_A_NORM: dict[str, tuple[Callable[[], list[nn.Module]], Tensor]] = {
    "linear, BatchNorm1d": (lambda: [nn.Linear(4, 8), nn.BatchNorm1d(8)], X),
    "linear without bias, BatchNorm1d": (lambda: [nn.Linear(4, 8, bias=False), nn.BatchNorm1d(8)], X),
    "conv, BatchNorm2d": (lambda: [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)], IMAGES),
    "one weight a channel, BatchNorm2d": (lambda: [depthwise(), nn.BatchNorm2d(3)], IMAGES),
    "linear with bias, LayerNorm": (lambda: [nn.Linear(4, 8), nn.LayerNorm(8)], X),
    "conv with bias, GroupNorm": (lambda: [nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)], IMAGES),
    "linear with bias, own RMSNorm": (lambda: [nn.Linear(4, 8), RMS(8)], X),
    "linear, ReLU, BatchNorm1d": (lambda: [nn.Linear(4, 8), nn.ReLU(), nn.BatchNorm1d(8)], X),
    "linear, dropout, LayerNorm": (lambda: [nn.Linear(4, 64), nn.Dropout(0.2), nn.LayerNorm(64)], X),
}


@pytest.mark.parametrize("name", BEFORE_A_NORM)
def test_before_a_normalization_layer(name: str) -> None:
    make, sample = BEFORE_A_NORM[name]
    assert flagged(ready(first(*make()), sample), sample) == {"0.weight"}


ON_THE_DIRECTION: dict[str, tuple[Callable[[nn.Module], nn.Module], set[str]]] = {
    "weight_norm": (parametrizations.weight_norm, {"0.parametrizations.weight.original1"}),
    "old weight_norm": (partial(old, "weight_norm"), {"0.weight_v"}),
    "spectral_norm": (parametrizations.spectral_norm, {"0.parametrizations.weight.original"}),
    "old spectral_norm": (partial(old, "spectral_norm"), {"0.weight_orig"}),
}


@pytest.mark.parametrize("name", ON_THE_DIRECTION)
def test_what_a_parametrization_normalizes(name: str) -> None:
    make, expected = ON_THE_DIRECTION[name]
    model = ready(first(make(nn.Linear(4, 8))), X)
    assert flagged(model) == expected


@pytest.mark.parametrize("name", ON_THE_DIRECTION)
def test_the_effective_weight_too_before_a_norm(name: str) -> None:
    make, expected = ON_THE_DIRECTION[name]
    model = ready(first(make(nn.Linear(4, 8)), nn.BatchNorm1d(8)), X)
    found = flagged(model)
    assert {"0.weight", *expected} <= found
    assert not any(not n.startswith("0.") for n in found)


def test_the_leaf_of_a_parametrization_has_the_bias_of_its_layer() -> None:
    class Masked(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return w.tril()

    layer = parametrize.register_parametrization(nn.Linear(4, 8), "weight", Masked())
    model = ready(first(layer, nn.LayerNorm(8)), X)
    assert flagged(model) == {"0.weight", "0.parametrizations.weight.original"}


def test_a_weight_of_zeros_before_a_norm_is_tried_at_random_values() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    nn.init.zeros_(model.get_parameter("0.weight"))
    assert flagged(model) == {"0.weight"}


@pytest.mark.parametrize("place", [1, 4], ids=["the norm's own", "the head's"])
def test_zeros_that_hide_a_weight_are_tried_at_random_values(place: int) -> None:
    """As of a new head, and of the last normalization of a residual branch."""
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    nn.init.zeros_(model.get_parameter(f"{place}.weight"))
    before = {name: t.clone() for name, t in model.state_dict().items()}
    assert flagged(model) == {"0.weight"}
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_an_embedding_before_a_norm() -> None:
    model = Own(
        lambda m, x: m.head(m.norm(m.table(x)).tanh()), table=nn.Embedding(9, 8), norm=nn.LayerNorm(8)
    )
    model.head = nn.Linear(8, 2)
    assert flagged(model, torch.arange(9)) == {"table.weight"}


# --- no -----------------------------------------------------------------------------------------------


def block(**options: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **options)


WITHOUT: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear alone": (lambda: nn.Linear(4, 3), X),
    "linear, ReLU": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU()), X),
    "linear, ReLU, linear": (lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), X),
    "no bias": (lambda: nn.Sequential(nn.Linear(4, 8, bias=False), nn.ReLU(), nn.Linear(8, 3)), X),
    "after the norm": (lambda: nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3)), X),
    "several norms' own": (lambda: nn.Sequential(nn.LayerNorm([16, 4]), nn.ReLU(), nn.LayerNorm(4)), X),
    "recurrent": (lambda: Own(lambda m, x: m.cell(x)[0], cell=nn.LSTM(8, 6)), TOKENS),
    "post-LN block": (block, TOKENS),
    "pre-LN block": (partial(block, norm_first=True), TOKENS),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_where_nothing_normalizes(name: str) -> None:
    make, sample = WITHOUT[name]
    assert flagged(make(), sample) == set()


def test_a_norms_own_weight_even_where_another_norm_follows() -> None:
    model = first(nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 8), nn.BatchNorm1d(8))
    assert flagged(ready(model, X)) == {"2.weight"}


def test_a_residual_branch_without_a_norm() -> None:
    conv = nn.Conv2d(3, 8, 3)
    assert (
        flagged(Own(lambda m, x: m.norm(y := m.conv(x)) + y, conv=conv, norm=nn.BatchNorm2d(8)), IMAGES)
        == set()
    )


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-8, 1e-6, 1e-4, 1e-2])
def test_a_branch_of_next_to_no_influence(scale: float) -> None:
    model = Own(lambda m, x: x + scale * m.inner(x).tanh(), inner=nn.Linear(4, 4))
    assert flagged(model) == set()


@pytest.mark.parametrize("scale", [1e-2, 1.0])
def test_a_normalized_branch_of_small_influence(scale: float) -> None:
    model = Own(lambda m, x: x + scale * m.norm(m.inner(x)), inner=nn.Linear(4, 4), norm=nn.LayerNorm(4))
    assert flagged(model) == {"inner.weight"}


def test_sharp_attention_or_not_the_queries_count() -> None:
    model: Any = block(norm_first=True, dropout=0.0)
    with torch.no_grad():
        model.self_attn.in_proj_weight.mul_(1e-2)  # near uniform: doubling changes the output very little
    assert flagged(model, TOKENS) == set()


def test_separate_projections_of_attention() -> None:
    def attend(m: Any, x: Tensor) -> Tensor:
        y = m.norm(x)
        x = x + m.out(F.scaled_dot_product_attention(m.q(y), m.k(y), m.v(y)))
        return cast(Tensor, x + m.down(m.up(m.norm2(x)).relu()))

    parts = {name: nn.Linear(8, 8) for name in ("q", "k", "v", "out", "up", "down")}
    assert flagged(Own(attend, norm=nn.LayerNorm(8), norm2=nn.LayerNorm(8), **parts), TOKENS) == set()


@pytest.mark.parametrize("between", [nn.Tanh(), nn.ReLU()])
def test_a_weight_of_zeros_without_a_norm(between: nn.Module) -> None:
    last = nn.Linear(8, 3)
    nn.init.zeros_(last.weight)
    model = nn.Sequential(nn.Linear(4, 8), between, last)
    assert flagged(model) == set()


def test_an_unused_layer_and_a_dead_one() -> None:
    dead = nn.Linear(4, 8)
    nn.init.constant_(dead.bias, -1e4)
    model = Own(lambda m, x: m.head(F.relu(m.dead(x))), dead=dead, idle=nn.Linear(4, 4))
    model.head = nn.Linear(8, 3)
    assert flagged(model) == set()


def test_activations_so_small_that_epsilon_counts() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    assert flagged(model, X * 1e-3) == set()
    assert flagged(model, X) == {"0.weight"}


def test_a_small_cnn() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
        nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    assert flagged(model, IMAGES) == {"0.weight", "4.weight"}


def test_a_post_norm_network_and_its_input_projection() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), block(), nn.Linear(8, 2))
    assert flagged(model, TOKENS) == {"0.weight"}
