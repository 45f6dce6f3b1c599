"""Splits: what a seed draws, and that it draws nothing else."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ridgeline.data import Data, Source, Splits, draw
from ridgeline.data._examples import ArrayExamples, Examples
from ridgeline.errors import RidgelineError


def source(n: int = 100, classes: int = 3, **parts: Any) -> Source:
    """Inputs that name their row, labels i² mod classes: classes of unequal size."""
    x = torch.arange(float(n))[:, None] * torch.ones(2)
    y = torch.arange(n) * torch.arange(n) % classes
    return lambda seed: Splits(train=(x, y), **parts)


def arrays(examples: Examples | None) -> ArrayExamples:
    assert isinstance(examples, ArrayExamples)
    return examples


def ids(data: Data) -> tuple[list[int], list[int]]:
    return data.train.ids.tolist(), data.val.ids.tolist()


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(10, 300), st.integers(1, 5), st.floats(0.1, 0.9), st.integers(0, 10**9))
def test_parts_are_disjoint_cover_and_are_stratified(n: int, classes: int, share: float, seed: int) -> None:
    data = draw(source(n, classes), seed, val_share=share)
    train, val = ids(data)
    assert sorted(train + val) == list(range(n))
    assert len(val) == round(share * n)
    whole = torch.arange(n) * torch.arange(n) % classes
    counts = torch.bincount(whole, minlength=classes)
    got = torch.bincount(data.val.targets(), minlength=classes)
    assert float((got - counts * len(val) / n).abs().max()) < 1
    x, y = data.val.batch(torch.arange(len(val)))
    assert x[:, 0].tolist() == val  # inputs, labels and ids stay together
    assert torch.equal(y, whole[data.val.ids])


def test_draw_is_a_pure_function_of_the_seed() -> None:
    options: dict[str, Any] = {"n_train": 50, "label_noise": 0.2, "standardize": True}
    torch.manual_seed(0)
    first = draw(source(), 4, **options)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    again = draw(source(), 4, **options)
    assert torch.equal(torch.get_rng_state(), before)
    assert ids(first) == ids(again)
    assert first.digests() == again.digests()
    other = draw(source(), 5, **options)
    assert all(set(a) != set(b) for a, b in zip(ids(first), ids(other), strict=True))


def test_n_train_and_val_share() -> None:
    sizes = [
        tuple(map(len, ids(draw(source(), 0, n_train=n, val_share=share))))
        for n, share in ((None, None), (30, None), (30, 0.1), (None, 0.4), (90, 0.1))
    ]
    assert sizes == [(80, 20), (30, 70), (30, 10), (60, 40), (90, 10)]
    train, val = ids(draw(source(), 0, n_train=30, val_share=0.1))
    assert not set(train) & set(val)
    counts = torch.bincount(draw(source(), 0, n_train=30).train.targets())
    assert float((counts - 30 * torch.tensor([0.34, 0.66])).abs().max()) < 1


def test_split_fixed_draws_once_for_all() -> None:
    options: dict[str, Any] = {"n_train": 20, "label_noise": 0.5}
    fixed = [draw(source(), seed, split="fixed", **options) for seed in (0, 1, 2)]
    assert len({str(ids(data)) for data in fixed}) == 1
    assert len({str(data.digests()) for data in fixed}) == 1


def test_an_own_validation_set_is_left_alone() -> None:
    x, y = torch.randn(10, 2), torch.arange(10) % 3
    data = draw(source(val=(x, y), test=(x + 1, y)), 3, n_train=40, label_noise=1.0)
    assert torch.equal(arrays(data.val).x, x)
    assert torch.equal(data.val.targets(), y)
    assert torch.equal(arrays(data.test).x, x + 1)
    assert torch.equal(arrays(data.test).y, y)
    assert len(data.train) == 40
    assert len(draw(source(val=(x, y)), 3).train) == 100


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.integers(2, 6), st.floats(0, 1), st.integers(0, 100))
def test_label_noise_flips_exactly_its_share(classes: int, share: float, seed: int) -> None:
    y = torch.arange(120) % classes
    raw = lambda seed: Splits(train=(torch.zeros(120, 1), y))  # noqa: E731
    clean, noisy = draw(raw, seed), draw(raw, seed, label_noise=share)
    assert ids(clean) == ids(noisy)
    assert torch.equal(clean.val.targets(), noisy.val.targets())
    assert int((clean.train.targets() != noisy.train.targets()).sum()) == round(share * len(clean.train))
    assert set(noisy.train.targets().tolist()) <= set(range(classes))


def test_label_noise_takes_every_other_class() -> None:
    y = torch.arange(3000) % 4
    raw = lambda seed: Splits(train=(torch.zeros(3000, 1), y))  # noqa: E731
    clean, noisy = draw(raw, 0).train.targets(), draw(raw, 0, label_noise=1.0).train.targets()
    shifts = torch.bincount((noisy - clean) % 4, minlength=4).tolist()
    assert shifts[0] == 0
    assert all(abs(count - 800) < 4 * (2400 * 2 / 9) ** 0.5 for count in shifts[1:])


def test_standardize_uses_the_training_examples_only() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(60, 3, generator=g) * torch.tensor([3.0, 1e-3, 0.0]) + 7
    test = (x * 100, torch.zeros(60, dtype=torch.int64))
    raw = lambda seed: Splits(train=(x, torch.arange(60) % 2), test=test)  # noqa: E731
    plain, data = draw(raw, 0), draw(raw, 0, standardize=True)
    train = arrays(plain.train).x.double()
    mean, sd = train.mean(0), train.std(0, correction=0)
    sd[2] = 1  # a constant column is shifted only
    for name in ("train", "val", "test"):
        expected = (arrays(plain.sets[name]).x.double() - mean) / sd
        assert torch.allclose(arrays(data.sets[name]).x.double(), expected, rtol=1e-3, atol=2e-3)
    assert torch.equal(arrays(draw(raw, 0).train).x, train.float())


def digests(x: Tensor, y: Tensor) -> tuple[str, ...]:
    return tuple(draw(lambda seed: Splits(train=(x, y), val=(x, y)), 0).digests().values())


def test_digests_change_with_content_and_not_otherwise() -> None:
    x, y = torch.arange(12.0).view(6, 2), torch.arange(6) % 2
    base = digests(x, y)
    assert base[0] == base[1]
    assert digests(x.clone(), y.clone()) == base
    assert digests(x.t().contiguous().t(), y) == base  # another memory layout
    other = x.clone()
    other[5, 1] += 1e-3
    changes = [
        digests(other, y),
        digests(x, 1 - y),
        digests(x.flip(0), y.flip(0)),
        digests(x.view(6, 1, 2), y),
    ]
    assert len({base, *changes}) == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_train": 101}, "n_train is 101; the pool holds 100 examples; choose a smaller"),
        ({"n_train": 100}, "n_train is 100; the pool holds 100"),
        ({"n_train": 90, "val_share": 0.2}, "n_train is 90; val_share leaves 80 examples"),
        ({"val_share": 0.0}, "holding out 0 of 100"),
        ({"val_share": 1.0}, "holding out 100 of 100"),
    ],
)
def test_impossible_sizes_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RidgelineError, match=message):
        draw(source(), 0, **options)


def test_settings_without_effect_are_refused() -> None:
    own = (torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(RidgelineError, match="val_share has no effect"):
        draw(source(val=own), 0, val_share=0.2)
    with pytest.raises(RidgelineError, match="label_noise needs class labels"):
        draw(
            lambda seed: Splits(train=(torch.zeros(9, 2), torch.zeros(9)), task="regression"),
            0,
            label_noise=0.1,
        )
    with pytest.raises(RidgelineError, match=r"task is 'ranking'; allowed: 'classification', 'regression'"):
        Splits(train=own, task="ranking")  # type: ignore[arg-type]
