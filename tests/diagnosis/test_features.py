"""The numbers behind a verdict, against what was planted."""

import numpy as np
import pytest

from ridgeline.diagnosis import THRESHOLDS, Curve, History
from ridgeline.diagnosis._align import aligned
from ridgeline.diagnosis._features import features_of
from ridgeline.diagnosis._noise import Noise, late, noise
from ridgeline.diagnosis._thresholds import critical_rise
from ridgeline.diagnosis._windows import MOST_POINTS, WIDE, medians, thinned, windows
from tests.diagnosis.worlds import ar, falling, history


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8])
def test_noise_is_found_under_a_trend(correlation: float) -> None:
    random = np.random.default_rng(0)
    values = 3.0 * np.linspace(1.0, 0.0, 4_000) + 0.1 * ar(random, 4_000, correlation)
    found = noise(values)
    assert found.sd == pytest.approx(0.1, rel=0.1)
    assert correlation <= found.correlation <= correlation + 0.05


def test_a_straight_line_and_a_parabola_have_no_noise() -> None:
    t = np.linspace(0.0, 1.0, 100)
    for values in (2.0 - t, 1.0 + (t - 0.4) ** 2, np.full(100, 0.3)):
        assert noise(values).sd == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_noise_of_a_mean_is_that_of_means(correlation: float) -> None:
    random = np.random.default_rng(2)
    curves = [ar(random, 1_000, correlation) for _ in range(200)]
    truth = float(np.std([values[-50:].mean() for values in curves]))
    found = float(np.median([noise(values).of_mean(50) for values in curves]))
    assert 0.85 * truth < found < 1.6 * truth


@pytest.mark.parametrize("n", [10, 50, 200])
def test_critical_values_cover_flat_curves(n: int) -> None:
    random = np.random.default_rng(4)
    used = np.array([critical_rise(n, "narrow"), critical_rise(n, "wide")])
    for correlation in (0.0, 0.5, 0.9):
        beyond = 0
        for _ in range(400):
            values = ar(random, n, correlation)
            narrow, wide = windows(values), windows(values, WIDE)
            about = noise(late(values))
            found = [narrow.rise / about.of_mean(narrow.k), wide.rise / about.of_mean(wide.k)]
            beyond += bool((found > used).any())
        assert beyond <= 28  # 5 % of 400, and two standard deviations


def test_windows_end_with_the_curve() -> None:
    for n in (1, 2, 3, 10, 61, 999):
        seen = windows(np.arange(float(n)))
        assert seen.end == np.median(np.arange(float(n))[-seen.k :])
        assert len(seen.level) <= 81
        assert seen.rise == seen.end - seen.level[0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 200])
def test_medians_are_numpys(n: int) -> None:
    rows = np.random.default_rng(n).normal(size=(5, n))
    np.testing.assert_array_equal(medians(rows), np.median(rows, axis=1))


@pytest.mark.parametrize("correlation", [0.0, 1e-3, 0.6, 0.97])
def test_the_variance_of_a_mean_is_the_sum_over_its_pairs(correlation: float) -> None:
    for k in (1, 2, 7, 500):
        apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        assert Noise(2.0, correlation).of_mean(k) == pytest.approx(
            2.0 * np.sqrt((correlation**apart).sum()) / k
        )


def test_long_curves_are_taken_together() -> None:
    values = np.arange(1.0, 123_457.0)
    (short,) = thinned(values)
    assert len(short) == MOST_POINTS
    assert short.mean() == pytest.approx(values.mean(), rel=1e-3)
    assert thinned(short)[0] is short


def test_training_between_validations_is_averaged() -> None:
    often = Curve.of([1.0, 3.0, 5.0, 7.0, 9.0, 11.0], steps=[1, 2, 3, 4, 5, 6])
    rare = Curve.of([0.5, 0.4, 0.3], steps=[2, 4, 6])
    found = aligned(History({"train_loss": often, "val_loss": rare}), "loss")
    assert found is not None
    assert found.train is not None
    assert found.train.tolist() == [2.0, 6.0, 10.0]


def test_training_at_other_steps_is_interpolated() -> None:
    found = aligned(
        History(
            {
                "train_loss": Curve.of([4.0, 0.0], steps=[0, 40]),
                "val_loss": Curve.of([1.0, 1.0, 1.0], steps=[10, 20, 30]),
            }
        ),
        "loss",
    )
    assert found is not None
    assert found.train is not None
    assert found.train.tolist() == [3.0, 2.0, 1.0]


def test_where_a_curve_breaks() -> None:
    broken = Curve.of([1.0, float("nan"), 0.5, float("inf"), float("nan")], steps=[10, 20, 30, 40, 50])
    found = aligned(History({"val_loss": broken}), "loss")
    assert found is not None
    assert (found.broke, found.dropped) == (40.0, 1)
    assert found.val.tolist() == [1.0, 0.5]


def test_features_of_a_planted_rise() -> None:
    n = 400
    t = np.linspace(0.0, 1.0, n)
    val = np.maximum(2.0 - 6.0 * t, 0.5 + 0.4 * (t - 0.25))
    one = aligned(history(falling(n, 2.0, 0.1), val), "loss")
    assert one is not None
    found = features_of([one])
    assert found.null == pytest.approx(2.0, abs=0.1)
    assert found.val.lowest_step == pytest.approx(0.25 * n, abs=0.05 * n)
    assert found.val.rise == pytest.approx(0.3, abs=0.03)
    assert found.gap == pytest.approx(0.8 - found.train.last if found.train else None, abs=0.02)
    assert found.delta == pytest.approx(0.02 * (found.null - found.val.lowest), rel=1e-6)
    assert found.val.recent_fall == pytest.approx(-0.08, abs=0.02)


def test_over_seeds_the_minimum_is_chosen_on_the_others() -> None:
    random = np.random.default_rng(0)
    runs = [
        aligned(
            history(falling(60, 2.0, 0.1), falling(60, 2.0, 0.5, 40.0) + 0.05 * ar(random, 60, 0.3)), "loss"
        )
        for _ in range(8)
    ]
    found = features_of([run for run in runs if run is not None])
    assert found.val.rise_interval is not None
    assert found.val.rise_interval.low is not None
    assert found.val.rise_interval.low < 0.0  # a selected minimum alone would always lie below the end


def test_every_threshold_has_its_reason() -> None:
    assert len({t.name for t in THRESHOLDS}) == len(THRESHOLDS)
    assert all(len(t.reason) > 20 for t in THRESHOLDS)


def test_equal_steps_keep_the_last_value() -> None:
    found = Curve.of([1.0, 2.0, 3.0], steps=[2, 1, 2])
    assert (found.steps.tolist(), found.values.tolist()) == ([1.0, 2.0], [2.0, 3.0])
    with pytest.raises(ValueError, match="one step a value"):
        Curve.of([1.0], steps=[1, 2])
