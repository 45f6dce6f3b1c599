"""Reduced precision: products are those of rounded operands, all else is float32, and it ends with the trial."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.lanes import NotStackableError, Products, probe, products, train
from ridgeline.lanes._precision import arithmetic, check_precision
from ridgeline.lanes._settings import PrecisionName
from ridgeline.lanes._shared import path_of
from ridgeline.lanes._solo import Trial
from ridgeline.study import Study
from tests.engines.lanes import (
    ADAM,
    IMAGES,
    SGD,
    Attention,
    as_doubles,
    as_words,
    doubled,
    family,
    layered,
    packed,
    rule,
    step_errors,
    with_training,
    words,
)
from tests.engines.worlds import CPU, Build, classes, named, numbers, own, program, same

HERE = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
pytestmark = pytest.mark.skipif(not HERE, reason="this processor or build of torch has no bfloat16")

# Rounding to 8 bits changes a number by at most this share of it.
BF16 = 2.0**-8
LOW: tuple[PrecisionName, ...] = ("bf16-matmul", "bf16")


def r(x: Tensor) -> Tensor:
    """Rounded to bfloat16, in float64."""
    return x.detach().bfloat16().double()


def stack(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


A, B, V = stack(24, 50, seed=1), stack(50, 17, seed=2), stack(50, seed=3)
ADDED, AA, BB = stack(24, 17, seed=4), stack(3, 24, 50, seed=5), stack(3, 50, 17, seed=6)
SHARED = stack(24, 50, seed=7).expand(3, 24, 50)
# What is computed, the product in it of rounded operands, and what is added in float32.
CASES: dict[str, tuple[Callable[[], Tensor], Tensor, Tensor | float]] = {
    "mm": (lambda: A @ B, r(A) @ r(B), 0.0),
    "transposed": (lambda: A @ B.t().contiguous().t(), r(A) @ r(B), 0.0),
    "mm out": (lambda: torch.mm(A, B, out=torch.empty(0)), r(A) @ r(B), 0.0),
    "mv": (lambda: A @ V, r(A) @ r(V), 0.0),
    "addmm": (lambda: torch.addmm(ADDED, A, B, beta=0.5, alpha=2.0), 2.0 * (r(A) @ r(B)), 0.5 * ADDED),
    "addmm in place": (lambda: ADDED.clone().addmm_(A, B), r(A) @ r(B), ADDED),
    "addmm of NaN times 0": (lambda: torch.addmm(ADDED * torch.nan, A, B, beta=0), r(A) @ r(B), 0.0),
    "linear": (lambda: F.linear(A, B.t(), ADDED[0]), r(A) @ r(B), ADDED[0]),
    "linear on tokens": (lambda: F.linear(AA, B.t(), ADDED[0]), r(AA) @ r(B), ADDED[0]),
    "bmm": (lambda: AA @ BB, r(AA) @ r(BB), 0.0),
    "bmm shared": (lambda: torch.bmm(SHARED, BB), r(SHARED) @ r(BB), 0.0),
    "bmm out": (lambda: torch.bmm(AA, BB, out=torch.empty(3, 24, 17)), r(AA) @ r(BB), 0.0),
    "baddbmm": (lambda: torch.baddbmm(ADDED, AA, BB), r(AA) @ r(BB), ADDED),
    "baddbmm in place": (lambda: ADDED.repeat(3, 1, 1).baddbmm_(AA, BB), r(AA) @ r(BB), ADDED),
    "einsum": (lambda: torch.einsum("lmk,lkn->lmn", AA, BB), r(AA) @ r(BB), 0.0),
    "vmap": (lambda: torch.func.vmap(torch.mm)(AA, BB), r(AA) @ r(BB), 0.0),
}


@pytest.mark.parametrize("kind", ["torch", "onednn"])
@pytest.mark.parametrize("name", CASES)
def test_a_product_is_that_of_rounded_operands(name: str, kind: Products) -> None:
    """To the rounding of its result and float32's of its sums; in float32 it is far from it."""
    call, exact, added = CASES[name]
    before = call()
    with products(kind), arithmetic("bf16-matmul", CPU):
        found = call()
    assert found.dtype is torch.float32
    off = (found.double() - added - exact).abs()
    assert off.le(BF16 * exact.abs() + 1e-5 * exact.abs().max()).all()
    assert torch.equal(call(), before)
    share = float((found - before).norm() / before.norm())
    assert 0.1 * BF16 < share < 2.0 * BF16


@pytest.mark.parametrize("dims", [1, 2])
def test_a_convolution_and_its_gradients_are_those_of_rounded_operands(dims: int) -> None:
    conv, size = (F.conv1d, [9]) if dims == 1 else (F.conv2d, [9, 9])
    w, b = (stack(6, 3, *([3] * dims), seed=1).requires_grad_(), stack(6, seed=2).requires_grad_())
    x = stack(5, 3, *size, seed=3).requires_grad_()
    g = stack(5, 6, *size, seed=4)
    with arithmetic("bf16-matmul", CPU):
        y = conv(x, w, b, padding=1)
        found = torch.autograd.grad(y, (x, w, b), g)
    leaves = [r(t).requires_grad_() for t in (x, w, b)]
    exact = conv(leaves[0], leaves[1], leaves[2], padding=1)
    expected = torch.autograd.grad(exact, leaves, r(g))
    for ours, theirs in zip((y, *found), (exact, *expected), strict=True):
        assert ours.dtype is torch.float32
        assert (ours - theirs).abs().le(BF16 * theirs.abs() + 1e-5 * theirs.abs().max()).all()
    plain = torch.autograd.grad(conv(x, w, b, padding=1), (x, w, b), g)
    assert all(float((ours - p).norm() / p.norm()) > 0.1 * BF16 for ours, p in zip(found, plain, strict=True))


def test_other_dtypes_are_left_alone() -> None:
    for dtype in (torch.float64, torch.bfloat16, torch.int64):
        a, b = A.mul(9).to(dtype), B.mul(9).to(dtype)
        before = a @ b, torch.addmm(b[0], a, b)
        with arithmetic("bf16-matmul", CPU):
            assert torch.equal(a @ b, before[0])
            assert torch.equal(torch.addmm(b[0], a, b), before[1])
    x, w = stack(2, 3, 8, 8, seed=1).double(), stack(4, 3, 3, 3, seed=2).double()
    with arithmetic("bf16-matmul", CPU):
        low = F.conv2d(x, w)
    assert torch.equal(low, F.conv2d(x, w))


def test_a_step_is_that_of_products_rounded_by_hand() -> None:
    """Forward and backward of an MLP, written out; SGD."""
    each = program(classes(), named("mlp", hidden=[16]), lr=0.1, precision="bf16-matmul", batch_size=37)
    with torch.random.fork_rng(devices=[]):
        trial = Trial(each, CPU)
    before = {name: p.detach().clone() for name, p in trial.model.named_parameters()}
    (w1, b1), (w2, b2) = [
        (w, before[name.replace("weight", "bias")]) for name, w in before.items() if name.endswith("weight")
    ]
    x, y = each.data.train.batch(torch.arange(37))
    hidden = (r((r(x) @ r(w1).T).float()) + b1).relu()
    output = r((r(hidden) @ r(w2).T).float()) + b2
    g = output.softmax(1)
    g[torch.arange(37), y] -= 1.0
    g /= 37
    g_hidden = r(r(g) @ r(w2)) * (hidden > 0)
    slopes = [r(r(g_hidden).T @ r(x)), g_hidden.sum(0), r(r(g).T @ r(hidden)), g.sum(0)]
    with arithmetic("bf16-matmul", CPU):
        trial.update(torch.arange(37))
    for p, old, slope in zip(trial.model.parameters(), before.values(), slopes, strict=True):
        # an element may round to the other side: one part in 2⁸ of it
        assert float((p.detach() - old + 0.1 * slope).norm()) < 1e-3 * float(0.1 * slope.norm())


MODELS: dict[str, tuple[Any, Build]] = {
    "mlp": (classes(), named("mlp", hidden=[7, 5], dropout=0.3)),
    "wide": (classes(), named("mlp", hidden=[64, 33])),
    "linear": (numbers(), named("linear")),
    "layered": (IMAGES, own(layered)),
    "words": (as_words(classes()), own(words)),
    "attention": (classes(), own(Attention)),
}


@pytest.mark.parametrize("settings", [SGD, ADAM], ids=["sgd", "adam"])
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        (n, p) for n in MODELS for p in LOW if (n, p) != ("attention", "bf16")
    ],  # vmap and autocast: a test below
)
def test_a_step_is_that_of_solo(name: str, precision: PrecisionName, settings: dict[str, Any]) -> None:
    """Rounding alike, a lane is far nearer to solo than reduced precision is to float32."""
    data, build = MODELS[name]
    programs = family(data, build, [[], rule("L2-coupled"), rule("L1-proximal")], [0, 1, 1], **settings)
    for at in (1, 10):
        with arithmetic(precision, CPU):
            assert max(step_errors(with_training(programs, precision=precision), at)) < BF16 / 4


@pytest.mark.parametrize("precision", LOW)
def test_a_step_of_one_example_is_that_of_solo(precision: PrecisionName) -> None:
    data, build = MODELS["mlp"]
    programs = family(data, build, [[], []], [0, 1], batch_size=1, precision=precision, **SGD)
    with arithmetic(precision, CPU):
        assert max(step_errors(programs, 3)) < 1e-6


@pytest.mark.parametrize("precision", LOW)
def test_numbers_differ_from_float32_as_8_bits_must(precision: PrecisionName) -> None:
    programs = family(classes(), named("mlp", hidden=[64]), [[], []], [0, 1], steps=10, lr=0.1)
    low = with_training(programs, precision=precision)
    for run in (packed, lambda many: [train(each, CPU) for each in many]):
        for plain, less in zip(run(programs), run(low), strict=True):
            assert all(w.dtype is torch.float32 for w in less.weights.values())
            off = plain.weights["output.weight"] - less.weights["output.weight"]
            assert 1e-5 < float(off.norm() / plain.weights["output.weight"].norm()) < 0.02
            assert less.last["val"].loss == pytest.approx(plain.last["val"].loss, rel=0.02)
            assert less.last["val"].losses.dtype is torch.float32


@pytest.mark.parametrize("precision", LOW)
@pytest.mark.parametrize("name", ["mlp", "layered"])
def test_place_and_number_of_lanes_change_no_bit(name: str, precision: PrecisionName) -> None:
    data, build = MODELS[name]
    rules = [[], rule("L2-coupled"), rule("L1-proximal"), rule("L2-loss"), []]
    many = with_training(family(data, build, rules, [0, 1, 2, 3, 4], steps=12, **ADAM), precision=precision)
    whole = packed(many, rule="grouped")
    for chosen in ([3, 1], [4, 0, 2], [2]):
        found = packed([many[k] for k in chosen], rule="grouped")
        assert [same(a, whole[k]) for a, k in zip(found, chosen, strict=True)] == [True] * len(chosen)


@pytest.mark.parametrize("precision", LOW)
def test_float32_trials_of_the_same_process_are_what_they_were(precision: PrecisionName) -> None:
    each = program(IMAGES, named("cnn", channels=[3], hidden=5), steps=6)
    low = replace(each, training=replace(each.training, precision=precision))
    before, first = train(each, CPU), train(low, CPU)
    assert same(train(each, CPU), before)
    packed([low, low])
    probe(low, CPU)
    assert same(train(each, CPU), before)
    assert same(train(low, CPU), first)


def test_set_back_also_after_an_error() -> None:
    before = A @ B, torch.backends.mkldnn.matmul.fp32_precision  # type: ignore[attr-defined]

    def failing() -> nn.Module:
        class Failing(nn.Linear):
            def forward(self, x: Tensor) -> Tensor:
                raise KeyError

        return Failing(6, 3)

    for precision in LOW:
        each = program(classes(), own(failing), precision=precision)
        with pytest.raises(KeyError):
            train(each, CPU)
        assert torch.equal(A @ B, before[0])
        assert torch.backends.mkldnn.matmul.fp32_precision == before[1]  # type: ignore[attr-defined]
        assert not torch.is_autocast_enabled("cpu")


def test_float32_is_float32_whatever_torch_was_told() -> None:
    """And torch's own switch, where it acts, is found as it was left."""
    each = program(classes(), named("mlp", hidden=[64]), steps=5)
    before = train(each, CPU)
    matmul: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    everything: Any = torch.backends
    for switch in (matmul, everything):
        old = switch.fp32_precision
        switch.fp32_precision = "bf16"
        try:
            assert same(train(each, CPU), before)
            assert matmul.fp32_precision == "bf16"
        finally:
            switch.fp32_precision = old
        assert matmul.fp32_precision == old


def test_packs_have_one_precision_and_vmap_excludes_autocast() -> None:
    programs = family(classes(), named("mlp", hidden=[7]), [[], []], [0, 1])
    with pytest.raises(NotStackableError, match="different settings"):
        packed([programs[0], *with_training(programs[1:], precision="bf16")])
    mine = with_training(family(classes(), own(Attention), [[], []], [0, 1]), precision="bf16")
    with pytest.raises(NotStackableError, match="autocast does not reach"):
        packed(mine)
    path = path_of(mine[0], CPU, probe(mine[0], CPU).model)
    assert path.kind == "solo"
    assert "autocast does not reach" in path.reason


@pytest.mark.parametrize(
    ("build", "precision", "says"),
    [
        (
            named("linear"),
            "tf32",
            "exists on cuda only, the device is cpu; use bf16-matmul, bf16, or float32",
        ),
        (doubled(named("linear")), "bf16", "is for float32 models, this one has float64"),
        (own(lambda: nn.Sequential(nn.LSTM(6, 3))), "bf16-matmul", "does not reach into nn.LSTM"),
    ],
)
def test_what_cannot_be_had_is_refused(build: Build, precision: PrecisionName, says: str) -> None:
    data = as_doubles(classes()) if "float64" in says else classes()
    with pytest.raises(RidgelineError, match=says):
        probe(program(data, build, precision=precision), CPU)


def test_a_machine_without_bfloat16_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    for precision in LOW:
        with pytest.raises(RidgelineError, match=r"needs a processor with bfloat16.*use float32"):
            check_precision(precision, nn.Linear(2, 2), CPU)
    check_precision("float32", nn.Linear(2, 2), CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_tf32_on_cuda() -> None:
    device = torch.device("cuda")
    a, b = stack(64, 512, seed=1).to(device), stack(512, 64, seed=2).to(device)
    exact = a.double() @ b.double()
    found = {}
    precisions: tuple[PrecisionName, ...] = ("float32", "tf32")
    for precision in precisions:
        with arithmetic(precision, device):
            found[precision] = float((a @ b - exact).norm() / exact.norm())
    assert found["float32"] < 1e-6 < 1e-5 < found["tf32"] < 1e-3
    with pytest.raises(RidgelineError, match="exists on cpu only, the device is cuda; use tf32"):
        check_precision("bf16-matmul", nn.Linear(2, 2).to(device), device)


def study(vary: bool = False, **train: Any) -> Study:
    varied: dict[str, Any] = {"vary": {"train.precision": ["float32", "bf16-matmul", "bf16"]}} if vary else {}
    return Study(
        name="precision",
        data={"name": "digits", "n_train": 100},
        model={"name": "mlp", "hidden": [32]},
        train={"optimizer": "adam", "lr": 1e-3, "batch_size": 32, "steps": 6, **train},
        seeds=2,
        **varied,
    )


def test_a_study_keeps_identities_apart_and_says_what_it_used(tmp_path: Path) -> None:
    ids = {t.trial_id for t in study().trials()}
    assert ids == {t.trial_id for t in study(precision="float32").trials()}
    assert ids.isdisjoint(t.trial_id for t in study(precision="bf16").trials())
    assert len({t.trial_id for t in study(vary=True).trials()}) == 6
    curves = {}
    for engine in ("solo", "lanes"):
        out = tmp_path / engine
        results = study(vary=True).run(out, engine=engine)
        trials = results.trials.sort("trial_id")
        assert trials["precision"].to_list() == trials["train.precision"].to_list()
        curves[engine] = trials["final_val_loss"].to_list()
        stored = (out / "trials.parquet").read_bytes()
        assert "precision" not in pl.read_parquet_metadata(out / "trials.parquet")
        study(vary=True).run(out, engine=engine)  # nothing is left to run
        assert (out / "trials.parquet").read_bytes() == stored
    assert curves["lanes"] == pytest.approx(curves["solo"], rel=1e-4)
    assert len({f"{loss:.9f}" for loss in curves["solo"]}) == 6


def test_bad_names_are_refused() -> None:
    with pytest.raises(RidgelineError, match=r"train\.precision.*bf16-matmul"):
        study(precision="half").trials()
