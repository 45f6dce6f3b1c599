"""Intervals against a hand computation, scipy, and simulated studies."""

import numpy as np
import pytest
from scipy import stats

from ridgeline.statistics import holm, interval, rise


def test_by_hand() -> None:
    # five seeds 1…5: mean 3, s² = 2.5; four examples 0, 2, 4, 6: s² = 20/3
    found = interval([1.0, 2.0, 3.0, 4.0, 5.0], np.array([0.0, 2.0, 4.0, 6.0]))
    se = (2.5 / 5 + (20 / 3) / 4) ** 0.5
    assert found.mean == 3.0
    assert found.low == pytest.approx(3 - 2.7764451052 * se, rel=1e-9)  # t(.975, 4) from a table
    assert found.high == pytest.approx(3 + 2.7764451052 * se, rel=1e-9)
    assert found.se_seeds == pytest.approx(0.5**0.5)
    assert found.se_examples == pytest.approx((5 / 3) ** 0.5)


def test_without_examples_it_is_the_t_interval() -> None:
    values = np.random.default_rng(0).normal(1.0, 2.0, 7)
    found = interval(values.tolist())
    low, high = stats.t.interval(0.95, 6, values.mean(), stats.sem(values))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_seeds_have_no_interval(n: int) -> None:
    found = interval([0.5] * n, np.ones(10))
    assert (found.mean, found.low, found.high, found.p) == (0.5, None, None, None)
    assert not found.excludes_zero


def test_no_spread_at_all() -> None:
    assert interval([0.0] * 3).p == 1.0
    found = interval([2.0] * 3)
    assert (found.low, found.high, found.p) == (2.0, 2.0, 0.0)


def false_alarms(n_seeds: int, n_eval: int, with_examples: bool, of_seeds: float = 0.003) -> float:
    """How often the interval of two equal arms excludes 0, over 2,000 simulated studies.

    Each study draws its evaluated examples anew: example effects of sd 0.2, seed effects of sd `of_seeds`.
    """
    rng = np.random.default_rng(n_seeds * 1000 + n_eval)
    hits = 0
    for _ in range(2000):
        example = rng.normal(0, 0.2, n_eval)
        noise = rng.normal(0, 0.05, (n_seeds, n_eval)) + rng.normal(0, of_seeds, (n_seeds, 1))
        deltas = example + noise
        found = interval(deltas.mean(1).tolist(), deltas.mean(0) if with_examples else None)
        hits += found.excludes_zero
    return hits / 2000


@pytest.mark.parametrize(("n_seeds", "n_eval"), [(3, 200), (5, 200), (5, 1000), (10, 1000), (20, 200)])
def test_two_equal_arms_seldom_differ(n_seeds: int, n_eval: int) -> None:
    assert false_alarms(n_seeds, n_eval, with_examples=True) <= 0.07


@pytest.mark.parametrize(("n_seeds", "n_eval"), [(3, 1000), (5, 1000), (10, 2000), (30, 1000)])
def test_where_seeds_dominate_five_in_a_hundred_differ(n_seeds: int, n_eval: int) -> None:
    """No more, and no fewer: an interval that is too wide would see nothing."""
    assert 0.035 <= false_alarms(n_seeds, n_eval, with_examples=True, of_seeds=0.2) <= 0.065


def test_an_interval_over_seeds_alone_is_fooled() -> None:
    assert false_alarms(5, 200, with_examples=False) > 0.5


def test_holm_against_its_definition() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        p = rng.uniform(0, 0.2, 6)
        found = holm(p.tolist())
        for i in range(6):
            # adjusted p_i = max over those not larger of (number not smaller) × p
            smaller = [j for j in range(6) if p[j] <= p[i]]
            expected = max(min(1.0, (p >= p[j]).sum() * p[j]) for j in smaller)
            assert found[i] == pytest.approx(expected)


def test_holm_of_nothing() -> None:
    assert holm([]) == []


def test_rise_by_hand() -> None:
    steps = np.array([0, 10, 20])
    curves = np.array([[3.0, 1.0, 2.0], [3.0, 1.5, 2.0], [3.0, 1.2, 2.5]])
    found = rise(steps, curves)
    assert found.step == 10
    assert found.lowest == pytest.approx(3.7 / 3)
    assert found.size.mean == pytest.approx((1.0 + 0.5 + 1.3) / 3)


@pytest.mark.parametrize("n_seeds", [2, 3, 7])
def test_a_seed_stops_where_the_others_are_lowest(n_seeds: int) -> None:
    curves = np.random.default_rng(n_seeds).normal(size=(n_seeds, 40))
    curves[0, 5] = np.inf  # no number to be subtracted again
    stops = [np.delete(curves, seed, axis=0).mean(axis=0).argmin() for seed in range(n_seeds)]
    sizes = [curve[-1] - curve[stop] for curve, stop in zip(curves, stops, strict=True)]
    assert rise(np.arange(40), curves).size.mean == pytest.approx(np.mean(sizes))


def test_a_flat_noisy_curve_does_not_rise() -> None:
    rng = np.random.default_rng(2)
    steps = np.arange(60)
    hits = 0
    for _ in range(300):
        noise = rng.normal(0, 1, (5, 60))
        for k in range(1, 60):
            noise[:, k] += 0.5 * noise[:, k - 1]
        low = rise(steps, noise).size.low
        hits += low is not None and low > 0
    assert hits / 300 < 0.06


def test_with_one_seed_the_rise_has_no_interval() -> None:
    found = rise(np.arange(3), np.array([[1.0, 0.5, 0.8]]))
    assert found.size.mean == pytest.approx(0.3)
    assert found.size.low is None
