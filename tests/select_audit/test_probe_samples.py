"""The scale-invariance probe: what stays undecided, samples, outputs and wrappers of any form, and errors."""

import random
import warnings
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ridgeline import L2, RidgelineError, Rule
from ridgeline.regularizer._invariance import scale_invariant
from ridgeline.select import assign
from tests.select_audit.probing import Own, X, first, flagged, probe, ready

# --- undecided ----------------------------------------------------------------------------------------


def test_a_pass_that_differs_from_itself_decides_nothing() -> None:
    count = iter(range(100))
    model = Own(lambda m, x: m.inner(x) + next(count), inner=nn.Linear(4, 4))
    assert set(probe(model).values()) == {None}


def test_an_output_that_is_not_finite_decides_nothing() -> None:
    assert set(probe(Own(lambda m, x: m.inner(x).log(), inner=nn.Linear(4, 4))).values()) == {None}


def test_a_weight_whose_change_the_model_refuses() -> None:
    def strict(m: Any, x: Tensor) -> Tensor:
        assert m.inner.weight.norm() < 1.5 * m.size
        return cast(Tensor, m.inner(x))

    inner = nn.Linear(4, 4)
    found = probe(Own(strict, inner=inner, size=float(inner.weight.detach().norm())))
    assert found == {"inner.weight": None, "inner.bias": False}


def test_masked_outputs_are_compared_where_they_are_finite() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    masked = Own(lambda m, x: m.inner(x).index_fill(1, torch.tensor([0]), -torch.inf), inner=model)
    assert flagged(masked) == {"inner.0.weight"}


@pytest.mark.parametrize("draw", [torch.rand, lambda n: torch.tensor(np.random.rand(n)).float()])
def test_noise_from_torch_or_numpy_is_the_same_in_each_pass(draw: Callable[[int], Tensor]) -> None:
    model = Own(
        lambda m, x: m.norm(m.inner(x) * draw(4) * random.random()), inner=nn.Linear(4, 4, bias=False)
    )
    model.norm = nn.LayerNorm(4, eps=1e-12)
    assert flagged(model) == {"inner.weight"}


def test_a_parametrization_that_draws_noise() -> None:
    class Noisy(nn.Module):
        def forward(self, w: Tensor) -> Tensor:
            return w * (1 + torch.rand_like(w))

    layer = parametrize.register_parametrization(nn.Linear(4, 8), "weight", Noisy())
    model = ready(first(layer, nn.LayerNorm(8)), X)
    before = torch.get_rng_state()
    assert flagged(model) == {"0.weight", "0.parametrizations.weight.original"}
    assert torch.equal(torch.get_rng_state(), before)


# --- samples, outputs, wrappers -----------------------------------------------------------------------


@dataclass(slots=True)
class Returned:
    logits: Tensor
    aux: Any


PACKINGS: dict[str, Callable[[Tensor], Any]] = {
    "tuple": lambda y: (y, None, torch.arange(3)),
    "dict": lambda y: {"a": [{"b": y}]},
    "dataclass": lambda y: Returned(y, (y, 1)),
    "namespace": lambda y: SimpleNamespace(logits=y),
    "mapping": lambda y: UserDict(logits=y),
    "distribution": lambda y: torch.distributions.Normal(y, 1.0),
    "complex": lambda y: torch.fft.fft(y),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_outputs_of_any_form(name: str) -> None:
    pack = PACKINGS[name]
    model = Own(
        lambda m, x: pack(m.head(m.norm(m.inner(x)).tanh())), inner=nn.Linear(4, 8), norm=nn.LayerNorm(8)
    )
    model.head = nn.Linear(8, 3)
    assert flagged(model) == {"inner.weight"}


def test_an_output_before_the_norm_counts() -> None:
    model = Own(lambda m, x: (m.norm(m.inner(x)), m.inner(x)), inner=nn.Linear(4, 8), norm=nn.LayerNorm(8))
    assert flagged(model) == set()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = nn.Linear(4, 8), nn.LayerNorm(8)

    def forward(self, x: Tensor, *, scale: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.inner(x)) * scale)


@pytest.mark.parametrize("mapping", [dict, UserDict])
def test_samples_of_keyword_arguments(mapping: type) -> None:
    assert flagged(Two(), mapping(x=X, scale=torch.tensor(2.0))) == {"inner.weight"}


def test_samples_of_several_arguments() -> None:
    assert flagged(nn.Bilinear(4, 4, 2), (X, X)) == set()


def test_a_sample_that_the_model_writes_to_is_kept() -> None:
    kept = X.clone()
    assert flagged(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 8), nn.LayerNorm(8))) == {"1.weight"}
    assert torch.equal(X, kept)


def test_tied_weights_move_together() -> None:
    table = nn.Embedding(9, 8)
    model = Own(lambda m, x: m.head(m.norm(m.table(x))), table=table, norm=nn.LayerNorm(8))
    model.head = nn.Linear(8, 9, bias=False)
    assert flagged(model, torch.arange(9)) == {"table.weight"}
    model.head.weight = table.weight
    assert flagged(model, torch.arange(9)) == set()


def test_wrapped_models(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    monkeypatch.setattr(nn.DataParallel, "forward", refuse)
    assert flagged(nn.DataParallel(model)) == {"0.weight"}
    compiled = cast(nn.Module, torch.compile(model, backend=refuse))
    assert flagged(compiled) == {"0.weight"}
    model[1] = cast(nn.Module, torch.compile(model[1], backend=refuse))
    assert flagged(model) == {"0.weight"}


def refuse(*_: Any) -> Any:
    raise AssertionError("the probe calls the plain model")


def deep(depth: int) -> nn.Module:
    hidden = [m for _ in range(depth) for m in (nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU())]
    return nn.Sequential(nn.Linear(4, 32), nn.LayerNorm(32), *hidden, nn.Linear(32, 3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes(dtype: torch.dtype) -> None:
    expected = {"0.weight", *(f"{2 + 3 * i}.weight" for i in range(12))}
    assert flagged(deep(12).to(dtype), X.to(dtype)) == expected


def test_a_model_that_insists_on_its_dtype() -> None:
    inner = deep(4).bfloat16()
    model = Own(lambda m, x: m.inner(x.bfloat16()).float(), inner=inner)
    assert flagged(model) == {"inner.0.weight", *(f"inner.{2 + 3 * i}.weight" for i in range(4))}
    plain = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 3))
    assert flagged(Own(lambda m, x: m.inner(x.bfloat16()).float(), inner=plain.bfloat16())) == set()


def test_scripted_modules_keep_their_mode() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.script(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8))).eval()
    kept = {name: t.clone() for name, t in scripted.state_dict().items()}
    rows = assign(scripted, [Rule("*.weight", L2(1e-4))])
    assert scale_invariant(scripted, rows, X)["0.weight"]
    assert not any(m.training for m in scripted.modules())
    assert all(torch.equal(t, kept[name]) for name, t in scripted.state_dict().items())


# --- errors -------------------------------------------------------------------------------------------


def test_a_batch_of_one_is_refused_in_one_sentence() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    with pytest.raises(RidgelineError, match="BatchNorm needs at least two examples") as caught:
        probe(model, X[:1])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("sample", [torch.randn(2, 5), (X, X), {"y": X}, "text", None])
def test_a_sample_that_does_not_fit(sample: Any) -> None:
    with pytest.raises(RidgelineError, match=r"that failed \((RuntimeError|TypeError): .*give a batch as in"):
        probe(nn.Sequential(nn.Linear(4, 3)), sample)


@pytest.mark.parametrize("returned", [None, torch.arange(3), torch.ones(3, device="meta")])
def test_a_model_that_returns_nothing_to_compare(returned: Any) -> None:
    with pytest.raises(RidgelineError, match="returned none with values"):
        probe(Own(lambda m, x: returned, inner=nn.Linear(4, 4)))


def test_a_batch_without_examples() -> None:
    with pytest.raises(RidgelineError, match="a batch that is not empty"):
        probe(nn.Sequential(nn.Linear(4, 3)), X[:0])
