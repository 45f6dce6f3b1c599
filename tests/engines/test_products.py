"""Large products by oneDNN: the same numbers to float32's rounding, everything else untouched, and set back."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError
from ridgeline.lanes import _products, faster_products, largest_product, products, train
from ridgeline.penalties import L2
from ridgeline.study import Study
from tests.engines.lanes import family, packed
from tests.engines.worlds import CPU, classes, named, penalty, rows, same

HERE = torch.backends.mkldnn.is_available()
pytestmark = pytest.mark.skipif(not HERE, reason="this build of torch has no oneDNN")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the results that oneDNN gave."""
    seen: list[tuple[int, ...]] = []
    real = _products.linear

    def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        found = real(x, weight, bias)
        seen.append(tuple(found.shape))
        return found

    monkeypatch.setattr(_products, "linear", linear)
    return seen


def _laid(x: Tensor, how: str) -> Tensor:
    if how == "transposed":
        return x.t().contiguous().t()
    if how == "slice":
        return torch.cat([x, x], 1)[:, : x.shape[1]]
    return x


@pytest.mark.parametrize(("left", "right"), [*product(("plain", "transposed", "slice"), repeat=2)])
def test_each_layout_against_float64(left: str, right: str, counted: list[tuple[int, ...]]) -> None:
    a, b, bias = _laid(rows(64, 300, 1), left), _laid(rows(300, 128, 2), right), rows(1, 128, 3)[0]
    exact = a.double() @ b.double()
    bound = 4e-7 * (
        a.abs().double() @ b.abs().double()
    )  # 300 roundings of float32 at random signs, with room
    with products("onednn"):
        assert ((a @ b).double() - exact).abs().le(bound).all()
        assert (torch.addmm(bias, a, b).double() - exact - bias).abs().le(bound + 1e-6).all()
    assert counted == [(64, 128)] * 2


@pytest.mark.parametrize(
    ("case", "call"),
    [
        ("small", lambda: rows(8, 64, 1) @ rows(64, 10, 2)),
        ("float64", lambda: rows(200, 200, 1).double() @ rows(200, 200, 2).double()),
        ("bfloat16", lambda: rows(200, 200, 1).bfloat16() @ rows(200, 200, 2).bfloat16()),
        ("no rows", lambda: rows(1, 300, 1)[:0] @ rows(300, 128, 2)),
        ("added matrix", lambda: torch.addmm(rows(64, 128, 3), rows(64, 300, 1), rows(300, 128, 2))),
        ("scaled", lambda: torch.addmm(rows(1, 128, 3)[0], rows(64, 300, 1), rows(300, 128, 2), alpha=2.0)),
        ("scalar added", lambda: torch.addmm(rows(1, 1, 3)[0], rows(64, 300, 1), rows(300, 128, 2))),
    ],
)
def test_what_is_left_to_torch_is_bit_equal(
    case: str, call: Callable[[], Tensor], counted: list[tuple[int, ...]]
) -> None:
    before = call()
    with products("onednn"):
        assert torch.equal(call(), before), case
    assert not counted


def test_set_back_also_after_an_error() -> None:
    a, b = rows(128, 300, 1), rows(300, 128, 2)
    before = a @ b
    with products("onednn"):
        other = a @ b
    with pytest.raises(KeyError), products("onednn"):
        raise KeyError
    assert torch.equal(a @ b, before)
    torch.testing.assert_close(other, before, rtol=1e-5, atol=1e-4)


def test_training_takes_the_same_course(counted: list[tuple[int, ...]]) -> None:
    """Forward and both products of the backward pass go to oneDNN, and Adam's losses agree."""
    x, y = rows(128, 256, 1), torch.arange(128) % 10

    def losses() -> list[float]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer, found = torch.optim.Adam(model.parameters(), 1e-3), []
        for _ in range(20):
            loss = nn.functional.cross_entropy(model(x.requires_grad_()), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    plain = losses()
    with products("onednn"):
        ours = losses()
    assert counted.count((128, 128)) == 20  # forward
    assert counted.count((128, 256)) == 40  # of the weights, and of the inputs
    assert ours == pytest.approx(plain, rel=1e-4)
    assert ours[-1] < 0.7 * ours[0]


def test_small_models_keep_torch_and_threads_stay() -> None:
    small = nn.Sequential(nn.Linear(64, 64), nn.Linear(64, 10))
    assert largest_product(small, 32) == 32 * 64 * 64
    assert faster_products(largest_product(small, 32)) == "torch"
    threads = torch.get_num_threads()
    faster_products(1 << 30)
    assert torch.get_num_threads() == threads


def test_the_slower_library_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        found = [x @ weight.t() for _ in range(8)]
        return found[-1]

    monkeypatch.setattr(_products, "linear", slow)
    assert faster_products(1 << 30) == "torch"


def test_asked_for_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_products, "there", lambda: False)
    assert faster_products(1 << 30) == "torch"
    with pytest.raises(RidgelineError, match="choose another --out"), products("onednn"):
        pass


@pytest.mark.parametrize("kind", ["torch", "onednn"])
def test_a_run_obeys_its_plan(kind: str, tmp_path: Path, counted: list[tuple[int, ...]]) -> None:
    """Whatever this machine would choose: the library is the plan's, and the results name it."""
    study = Study(
        name="products",
        data={"name": "digits"},
        model={"name": "mlp", "hidden": [512]},
        train={"optimizer": "adam", "lr": 1e-3, "batch_size": 128, "steps": 2},
        seeds=1,
    )
    plan = {**study.plan(engine="solo").as_dict(), "products": kind}
    tmp_path.joinpath("plan.json").write_text(json.dumps(plan))
    counted.clear()  # planning tried both
    study.run(tmp_path, engine="solo")
    assert bool(counted) == (kind == "onednn")
    assert pl.read_parquet_metadata(tmp_path / "trials.parquet")["products"] == kind


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_lanes_take_large_products_as_solo_does(dropout: float, counted: list[tuple[int, ...]]) -> None:
    """Bit for bit what lanes of another pack get, and solo's course."""
    build = named("mlp", hidden=[256, 128], dropout=dropout)
    data = classes(n_train=256, n_inputs=128)
    rules = [penalty(L2, strength) for strength in (0.0, 0.1, 0.0)]
    programs = family(data, build, rules, (0, 1, 2), optimizer="adam", lr=1e-3, batch_size=128, steps=6)
    with products("onednn"):
        three = packed(programs)
        assert counted.count((128, 256)) >= 18  # of each lane at each step
        two = packed(programs[1:])
        alone = [train(each, CPU) for each in programs]
    assert all(same(ours, others) for ours, others in zip(three[1:], two, strict=True))
    for ours, solo in zip(three, alone, strict=True):
        assert ours.curves["val_loss"] == pytest.approx(solo.curves["val_loss"], rel=1e-4)


def test_reduced_precision_reaches_the_products_of_lanes() -> None:
    """Those of one lane at a time too: a step in bf16 is as far from float32 with either library."""
    data, build = classes(n_train=256, n_inputs=128), named("mlp", hidden=[256])
    apart = []
    for kind in ("torch", "onednn"):
        runs = []
        for precision in ("float32", "bf16-matmul"):
            programs = family(data, build, [[], []], (0, 1), batch_size=128, steps=3, precision=precision)
            with products("onednn" if kind == "onednn" else "torch"):
                weights = packed(programs)[0].weights
                runs.append(next(w for w in weights.values() if w.shape == (256, 128)))
        apart.append(float((runs[0] - runs[1]).norm() / runs[0].norm()))
    assert apart[0] > 1e-4
    assert apart[1] == pytest.approx(apart[0], rel=0.1)
