"""The scale-invariance probe: who is called so, who is not, and that nothing of the model is touched."""

import copy
import random
import warnings
from collections import UserDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from ridgeline import L2, RidgelineError, Rule
from ridgeline.regularizer._invariance import scale_invariant
from ridgeline.select import assign

X = torch.randn(16, 4, generator=torch.Generator().manual_seed(0))
IMAGES = torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        yield


def probe(model: nn.Module, sample: Any = X) -> dict[str, bool | None]:
    """The verdicts on all rows of the model."""
    return scale_invariant(model, assign(model, [Rule("*", L2(1e-4))]), sample)


def flagged(model: nn.Module, sample: Any = X) -> set[str]:
    """The names of the scale-invariant rows."""
    found = probe(model, sample)
    assert None not in found.values()
    return {name for name, yes in found.items() if yes}


def first(layer: nn.Module, *then: nn.Module) -> Any:
    """A network whose other weights cannot be scale-invariant."""
    return nn.Sequential(layer, *then, nn.Tanh(), nn.Flatten(), nn.LazyLinear(3))


class RMS(nn.Module):
    """A person's own RMSNorm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


class Own(nn.Module):
    """A network whose forward pass is a function of the module and the input."""

    head: Any

    def __init__(self, forward: Callable[[Any, Any], Any], **parts: Any) -> None:
        super().__init__()
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)


def old(function: str, layer: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return cast(nn.Module, getattr(nn.utils, function)(layer))


def ready(model: Any, sample: Any) -> Any:
    """The model with its lazy layers made, in training mode."""
    with torch.no_grad():
        model.eval()(sample)
    return model.train()


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


def test_a_weight_of_zeros_without_a_norm() -> None:
    last = nn.Linear(8, 3)
    nn.init.zeros_(last.weight)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), last)
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


# --- as before ----------------------------------------------------------------------------------------


class Busy(nn.Module):
    """Writes to all that a module can write to."""

    inner: Any
    seen: Tensor
    generator: torch.Generator

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4, max_norm=0.1)
        self.inner = parametrizations.spectral_norm(nn.Linear(4, 8))
        self.old = old("weight_norm", nn.Linear(8, 8))
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("seen", torch.zeros(()), persistent=False)
        self.calls, self.cache = 0, torch.zeros(3)
        self.log: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(5)

    def train(self, mode: bool = True) -> "Busy":
        super().train(mode)
        if mode:
            self.table.weight.data.mul_(0.5)  # as adapters that take their share out again
        return self

    def forward(self, x: Tensor, fail_at: int = 99) -> Tensor:
        with torch.no_grad():
            self.seen += 1
            self.cache.add_(1)
            self.inner.parametrizations.weight.original.clamp_(-0.3, 0.3)
        self.calls += 1
        self.log.append(x)
        self.last = x
        noise = torch.rand(8, generator=self.generator) + random.random() + float(np.random.rand())
        if self.calls > fail_at:
            raise ValueError("no more")
        return cast(Tensor, self.drop(self.norm(self.old(self.inner(x + self.table.weight[0])))) * noise)


def state(model: nn.Module) -> Any:
    """Everything that a person could look at, by value and by place in memory."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    modules = list(model.modules())
    plain = (int, float, str, bool, tuple)
    return copy.deepcopy(
        [
            {n: (t.detach().numpy().tobytes(), t.data_ptr(), t._version, id(t)) for n, t in tensors.items()},
            {n: None if p.grad is None else p.grad.numpy().tobytes() for n, p in model.named_parameters()},
            [sorted(m.__dict__) for m in modules],
            [{k: v for k, v in m.__dict__.items() if isinstance(v, plain)} for m in modules],
            [
                {k: list(map(id, v)) for k, v in m.__dict__.items() if isinstance(v, (list, dict))}
                for m in modules
            ],
            [
                {k: (id(v), v._version) for k, v in m.__dict__.items() if isinstance(v, Tensor)}
                for m in modules
            ],
            [m.__dict__[k].tolist() for m in modules for k in ("cache", "weight") if k in m.__dict__],
            [m.generator.get_state().tolist() for m in modules if isinstance(m, Busy)],
            torch.get_rng_state().tolist(),
            random.getstate(),
            str(np.random.get_state()),
            torch.is_grad_enabled(),
            len(warnings.filters),
        ]
    )


def busy() -> Busy:
    model = Busy()
    model(X).sum().backward()
    model.norm.eval()
    model.drop.eval()
    return model


@pytest.mark.parametrize("fail_at", [99, 2])
def test_everything_is_as_before(fail_at: int) -> None:
    model = busy()
    rows = assign(model, L2(1e-4))
    before = state(model)
    found = scale_invariant(model, rows, {"x": X, "fail_at": fail_at})
    assert found["old.weight_v"]
    assert state(model) == before


@pytest.mark.parametrize("fail_at", [0, 1])
def test_everything_is_as_before_a_pass_that_failed(fail_at: int) -> None:
    model = busy()
    before = state(model)
    with pytest.raises(RidgelineError, match="ValueError: no more"):
        probe(model, {"x": X, "fail_at": fail_at})
    assert state(model) == before


def test_every_module_gets_its_own_mode_back() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout()), X)
    model.eval()
    model[2].train()
    flags = [m.training for m in model.modules()]
    assert flagged(model) == {"0.weight"}
    assert [m.training for m in model.modules()] == flags


def test_a_norm_that_the_model_itself_keeps_in_evaluation_mode_does_not_count() -> None:
    class Frozen(nn.Sequential):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            self[1].eval()
            return self

    assert flagged(Frozen(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh())) == set()


def test_a_pending_backward_pass_goes_on() -> None:
    model = busy()
    reference = torch.autograd.grad(model.eval()(X).sum(), list(model.parameters()), allow_unused=True)
    model.generator.manual_seed(5)
    loss = model.eval()(X).sum()
    probe(model)
    assert len(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)) == len(reference)


ACTIVATIONS: dict[str, Tensor] = {}


def keep(name: str, module: nn.Module, args: Any, output: Tensor) -> None:
    ACTIVATIONS[name] = output


def into(bag: list[Any], *_: Any) -> None:
    bag.append(1)


class Recorder:
    def __init__(self) -> None:
        self.count, self.outputs = 0, [torch.zeros(1)]

    def record(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self.count += 1
        self.outputs.append(output)

    __call__ = record


def test_what_hooks_collect_is_as_before() -> None:
    model = ready(first(nn.Linear(4, 8), nn.BatchNorm1d(8)), X)
    seen: list[Any] = []
    bag: list[Any] = []
    count, method, called, passed = 0, Recorder(), Recorder(), Recorder()

    def counting(*_: Any) -> None:
        nonlocal count
        count += 1

    def once(*_: Any) -> None:
        seen.append("once")
        handle.remove()

    hooks = (lambda *_: seen.append(1), partial(into, bag), method.record, called, counting)
    for hook in (*hooks, partial(keep, "0")):
        model[0].register_forward_hook(hook)
    model[0].register_forward_pre_hook(lambda m, args: passed.record(m, args, args[0]))
    handle = model[0].register_forward_hook(once)
    registered = dict(model[0]._forward_hooks)
    assert flagged(model) == {"0.weight"}
    assert (seen, bag, count, ACTIVATIONS) == ([], [], 0, {})
    assert all((r.count, len(r.outputs)) == (0, 1) for r in (method, called, passed))
    assert dict(model[0]._forward_hooks) == registered


def test_a_hook_that_normalizes_is_part_of_the_model() -> None:
    layer = nn.Linear(4, 8)
    layer.register_forward_hook(lambda m, args, y: F.layer_norm(y, (8,)))
    assert flagged(nn.Sequential(layer, nn.Tanh(), nn.Linear(8, 3))) == {"0.weight"}


def test_a_pass_is_silent_and_without_gradients() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        warnings.warn("of the model", stacklevel=1)
        assert not torch.is_grad_enabled()
        assert m.training
        return cast(Tensor, m.norm(m.inner(x)))

    assert flagged(Own(forward, inner=nn.Linear(4, 8), norm=nn.LayerNorm(8)).eval()) == {"inner.weight"}


def test_an_output_that_the_next_pass_overwrites() -> None:
    place = torch.empty(16, 8)
    assert flagged(Own(lambda m, x: place.copy_(m.inner(x)), inner=nn.Linear(4, 8))) == set()
    assert flagged(Own(lambda m, x: place.copy_(m.norm(m.inner(x))), inner=nn.Linear(4, 8), norm=RMS(8))) == {
        "inner.weight"
    }


def test_what_it_costs() -> None:
    passes = iter(range(100))
    counting = Own(lambda m, x: x + 0 * next(passes))
    flagged(nn.Sequential(counting, nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)))
    assert next(passes) == 2 + 3 + 2  # twice as it is; alone, with its bias, elsewhere; alone, with its bias
