"""Deciding claims: the rule by hand, and its error rates in simulated studies."""

import numpy as np
import pytest
from scipy import stats

from ridgeline.statistics import (
    Interval,
    decide,
    holm,
    holm_intervals,
    interval,
    prediction_interval,
    von_neumann,
)


def made(low: float | None, mean: float, high: float | None, n: int = 10) -> Interval:
    return Interval(mean, low, high, n, 0.0, 0.0, 0.5)


@pytest.mark.parametrize(
    ("found", "margin", "outcome"),
    [
        (made(0.01, 0.03, 0.05), 0.02, "reproduced"),
        (made(0.001, 0.015, 0.03), 0.02, "undecided"),  # above 0, but not sure to be worth it
        (made(0.001, 0.01, 0.019), 0.02, "refuted"),  # above 0, and surely not worth it
        (made(-0.01, 0.03, 0.07), 0.02, "undecided"),
        (made(-0.03, -0.02, -0.01), 0.0, "refuted"),
        (made(0.01, 0.03, 0.05, n=4), 0.02, "undecided"),
        (made(None, 0.03, None, n=2), 0.02, "undecided"),
    ],
)
def test_the_rule(found: Interval, margin: float, outcome: str) -> None:
    assert decide(found, margin) == outcome


@pytest.mark.parametrize(("n_seeds", "n_eval"), [(5, 100), (5, 1000), (10, 200), (30, 20)])
def test_equal_arms_are_seldom_told_apart(n_seeds: int, n_eval: int) -> None:
    """2,000 studies of two equal arms: either direction is reproduced in about 5 % together."""
    rng = np.random.default_rng(n_seeds + n_eval)
    hits = 0
    for _ in range(2000):
        deltas = rng.normal(0, 0.2, n_eval) + rng.normal(0, 0.05, (n_seeds, n_eval))
        deltas += rng.normal(0, 0.01, (n_seeds, 1))
        for sign in (1, -1):
            hits += decide(interval((sign * deltas.mean(1)).tolist(), sign * deltas.mean(0))) == "reproduced"
    assert hits / 2000 <= 0.07


def test_holm_intervals_exclude_0_where_holm_rejects() -> None:
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(300):
        cases = [(rng.normal(rng.choice([0.0, 0.8]), 1.0, 8).tolist(), None) for _ in range(5)]
        adjusted = holm([interval(by_seed).p or 0.0 for by_seed, _ in cases])
        found = holm_intervals(cases)
        assert [one.p for one in found] == pytest.approx(adjusted)
        assert [one.excludes_zero for one in found] == [p < 0.05 for p in adjusted]
        rejected += sum(one.excludes_zero for one in found)
    assert rejected > 50


def test_holm_intervals_of_one_is_the_interval_and_few_seeds_have_none() -> None:
    case = ([0.1, 0.2, 0.4], None)
    assert holm_intervals([case]) == [interval(*case)]
    assert holm_intervals([([0.1, 0.2], None)] * 2)[0].low is None
    assert holm_intervals([]) == []


def test_a_comparison_of_two_seeds_spares_the_others_no_correction() -> None:
    case = ([0.1, 0.2, 0.15, 0.02, 0.08], None)
    alone, (one, few, other) = interval(*case), holm_intervals([case, ([0.1, 0.2], None), ([0.1] * 2, None)])
    assert alone.p is not None
    assert one.p == pytest.approx(3 * alone.p)
    assert (one.low, one.high) == pytest.approx((interval(*case, level=1 - 0.05 / 3).low, one.high))
    assert one.excludes_zero == (3 * alone.p < 0.05)
    assert (few.low, few.p, other.low, other.p) == (None, None, None, None)


def test_any_false_reproduction_among_many_is_rare() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(2000):
        found = holm_intervals([(rng.normal(0, 1, 10).tolist(), None) for _ in range(6)])
        wrong += any(one.excludes_zero for one in found)
    assert 0.03 < wrong / 2000 < 0.065


@pytest.mark.parametrize("n", [3, 5, 30])
def test_one_more_run_falls_into_the_prediction_interval(n: int) -> None:
    rng = np.random.default_rng(n)
    inside = 0
    for _ in range(4000):
        *ours, new = rng.normal(5.0, 2.0, n + 1).tolist()
        found = prediction_interval(ours)
        assert found is not None
        inside += found[0] <= new <= found[1]
    assert inside / 4000 == pytest.approx(0.95, abs=0.012)


def test_prediction_interval_by_hand_and_too_few() -> None:
    values = [0.953, 0.956, 0.951, 0.960]
    half = stats.t.ppf(0.975, 3) * np.std(values, ddof=1) * np.sqrt(1.25)
    assert prediction_interval(values) == pytest.approx((np.mean(values) - half, np.mean(values) + half))
    assert prediction_interval(values[:2]) is None


def test_von_neumann_ignores_drift() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.3, 20_000)
    assert von_neumann(noise) == pytest.approx(0.3, rel=0.03)
    assert von_neumann(noise + np.linspace(0, 50, 20_000)) == pytest.approx(0.3, rel=0.03)
    assert von_neumann([1.0]) == 0.0
