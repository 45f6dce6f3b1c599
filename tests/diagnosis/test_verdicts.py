"""Planted worlds get the planted verdict, at any scale and length, and hostile curves get an answer."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeline.diagnosis import KINDS, Curve, History, diagnose
from ridgeline.errors import RidgelineError
from tests.diagnosis.worlds import ar, falling, history, world


@pytest.mark.parametrize("n", [30, 200, 3_000])
@pytest.mark.parametrize(
    ("planted", "kind"),
    [
        ("overfitting", "overfitting"),
        ("memorised", "overfitting"),
        ("well_fitted", "well_fitted"),
        ("undertrained", "undertrained"),
        ("diverged", "diverged"),
        ("worse", "undecided"),
    ],
)
def test_planted_worlds(planted: str, kind: str, n: int) -> None:
    found = [diagnose(world(planted, n, noise=0.004, seed=seed), resamples=0).kind for seed in range(5)]
    assert found == [kind] * 5


def test_chance_needs_the_null_loss() -> None:
    flat = world("chance")
    assert diagnose(flat, resamples=0).kind == "undecided"
    assert diagnose(flat, n_classes=10, resamples=0).kind == "underfitting"


@pytest.mark.parametrize("train_falls", [True, False])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("n", [10, 100, 1_000])
def test_flat_curves_rarely_overfit(n: int, correlation: float, train_falls: bool) -> None:
    random = np.random.default_rng(1)
    count = 0
    for _ in range(200):
        train = falling(n, 2.0, 0.1) if train_falls else 0.4 + 0.02 * ar(random, n, correlation)
        val = 0.5 + 0.02 * ar(random, n, correlation)
        count += diagnose(history(train, val), resamples=0).kind == "overfitting"
    assert count <= 14  # 5 % of 200, and what chance adds in one of twenty repetitions


def test_without_the_critical_value_flat_curves_would_overfit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ridgeline.diagnosis._features.critical_rise", lambda points, windows: 0.0)
    random = np.random.default_rng(1)
    found = Counter(
        diagnose(history(falling(100, 2.0, 0.1), 0.5 + 0.02 * ar(random, 100, 0.5)), resamples=0).kind
        for _ in range(60)
    )
    assert found["overfitting"] > 20


@pytest.mark.parametrize("kind", ["overfitting", "memorised", "well_fitted", "undertrained", "diverged"])
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 20))
def test_the_loss_has_no_scale(kind: str, scale: float, seed: int) -> None:
    one = world(kind, 60, seed=seed)
    other = history(scale * one.curves["train_loss"].values, scale * one.curves["val_loss"].values)
    assert diagnose(other, resamples=0).kind == diagnose(one, resamples=0).kind


def test_accuracy_is_judged_beside_the_loss() -> None:
    n = 200
    loss = world("overfitting", n)
    rising = 1.0 - falling(n, 0.9, 0.15, 12.0)
    both = History(
        {**loss.curves, "train_accuracy": Curve.of(rising + 0.01), "val_accuracy": Curve.of(rising)}
    )
    found = diagnose(both, resamples=0)
    assert (found.kind, found.metric) == ("overfitting", "loss")
    assert found.other is not None
    assert (found.other.kind, found.other.metric) == ("well_fitted", "accuracy")


def test_accuracy_alone_speaks_of_falling() -> None:
    n = 100
    t = np.linspace(0.0, 1.0, n)
    val = 1.0 - falling(n, 0.9, 0.15, 12.0) - 0.2 * np.maximum(t - 0.3, 0.0)
    found = diagnose({"accuracy": 1.0 - falling(n, 0.9, 0.0), "val_accuracy": val}, resamples=0)
    assert (found.kind, found.metric) == ("overfitting", "accuracy")
    assert "validation accuracy fell 0.1" in found.evidence[0]
    assert "training accuracy rose" in found.evidence[0]


def test_seeds_are_one_arm() -> None:
    found = diagnose([world("overfitting", seed=seed) for seed in range(5)])
    assert found.kind == "overfitting"
    assert found.confidence == 1.0
    assert "[0." in found.evidence[0]  # an interval over seeds


def test_seeds_whose_noise_alone_rises_are_not_overfitting() -> None:
    random = np.random.default_rng(3)
    count = 0
    for _ in range(100):
        runs = [
            history(falling(50, 2.0, 0.4), falling(50, 2.3, 0.5, 30.0) + 0.05 * ar(random, 50, 0.7))
            for _ in range(5)
        ]
        count += diagnose(runs, resamples=0).kind == "overfitting"
    assert count <= 8  # 2.5 % by the interval, and what chance adds


def test_more_is_known_beside_a_study() -> None:
    weak, strong = world("well_fitted"), history(falling(200, 2.3, 1.2, 12.0), falling(200, 2.3, 1.25, 12.0))
    assert diagnose(strong, resamples=0).kind == "well_fitted"
    assert diagnose(strong, best_train_loss=0.4, resamples=0).kind == "underfitting"
    assert diagnose(strong, target=0.9, resamples=0).kind == "underfitting"
    found = diagnose(strong, weaker=weak, resamples=0)
    assert found.kind == "over_regularized"
    assert "weaker penalty" in found.evidence[0]
    assert diagnose(weak, weaker=strong, resamples=0).kind == "well_fitted"


def test_a_weighty_penalty_is_named() -> None:
    strong = history(
        falling(200, 2.3, 1.2, 12.0), falling(200, 2.3, 1.25, 12.0), penalty=falling(200, 90.0, 5.0)
    )
    found = diagnose(strong, target=0.9, resamples=0)
    assert found.kind == "over_regularized"
    assert re.match(r"the penalty is 4\.\d+ times the data loss", found.evidence[0])


def test_a_penalty_inside_the_training_loss_is_seen() -> None:
    n = 200
    clean = world("well_fitted", n)
    inside = history(
        clean.curves["train_loss"].values + falling(n, 3.0, 0.3), clean.curves["val_loss"].values
    )
    found = diagnose(inside, resamples=0)
    assert found.kind == "well_fitted"
    assert any("contain a penalty" in sentence for sentence in found.evidence)
    assert found.features["excess"] is not None
    known = diagnose(inside, data_loss_alone=True, resamples=0)
    assert known.features["excess"] is None
    assert not any("contain a penalty" in sentence for sentence in known.evidence)


def test_a_loss_divided_once_too_often_is_seen() -> None:
    n = 30
    log = {"loss": falling(n, 0.009, 0.0016), "val_loss": falling(n, 0.009, 0.002), "acc": np.full(n, 0.848)}
    said = " ".join(diagnose(log, resamples=0).evidence)
    assert "too small for an accuracy of 0.848" in said


def test_a_late_collapse_is_dated() -> None:
    n = 300
    held = 1.0 - falling(n, 0.9, 0.05, 30.0)
    accuracy = np.where(np.arange(1, n + 1) <= 200, held, 0.6) + 0.002 * ar(np.random.default_rng(0), n, 0.0)
    found = diagnose({"acc": accuracy, "val_acc": accuracy - 0.01}, resamples=0)
    assert found.kind == "undecided"
    sentence = next(s for s in found.evidence if "collapsed" in s)
    step = float(re.findall(r"after \w+ ([\d,.]+),", sentence)[0].replace(",", ""))
    assert 190 <= step <= 210
    assert "learning rate" in found.advice[0]


def test_training_may_be_logged_more_often() -> None:
    found = world("overfitting", 60)
    often = Curve.of(
        np.interp(np.linspace(1, 60, 3_000), np.arange(1, 61), found.curves["train_loss"].values)
    )
    often = Curve(np.linspace(1, 60, 3_000), often.values)
    assert diagnose(History({**found.curves, "train_loss": often}), resamples=0).kind == "overfitting"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5], "undecided"),
        ([0.5, 0.4, 0.3], "undecided"),
        ([0.5] * 50, "undecided"),
        ([float("nan")] * 20, "diverged"),
        ([1.0, 0.5, float("inf"), *[float("nan")] * 9], "diverged"),
        ([*falling(30, 1.0, 0.2), float("nan"), *falling(30, 0.2, 0.2)], "well_fitted"),
    ],
)
def test_odd_curves(values: list[float], kind: str) -> None:
    found = diagnose({"loss": values, "val_loss": values})
    assert found.kind == kind
    assert found.evidence[0]
    json.dumps(found.as_dict(), allow_nan=False)


def test_what_is_missing_is_said() -> None:
    only_val = diagnose({"val_loss": world("overfitting").curves["val_loss"].values}, resamples=0)
    assert only_val.kind == "undecided"
    assert "no training curve" in " ".join(only_val.evidence)
    only_train = diagnose({"loss": falling(50, 2.0, 0.1)}, resamples=0)
    assert only_train.kind == "undecided"
    assert "no held-out curve" in only_train.evidence[0]
    broken = diagnose({"loss": [*falling(50, 2.0, 0.1), float("nan")]}, resamples=0)
    assert broken.kind == "diverged"


def test_confidence_is_low_where_it_could_be_otherwise() -> None:
    sure = diagnose(world("overfitting"))
    faint = world("well_fitted", noise=0.002)
    rise = 0.066 * np.linspace(0.0, 1.0, 200)
    unsure = diagnose(history(faint.curves["train_loss"].values, faint.curves["val_loss"].values + rise))
    assert sure.confidence == 1.0
    assert unsure.confidence is not None
    assert unsure.confidence < 1.0


@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=40),
)
def test_any_numbers_end_in_a_verdict(train: list[float], val: list[float]) -> None:
    found = diagnose(History({"train_loss": Curve.of(train), "val_loss": Curve.of(val)}), resamples=3)
    assert found.kind in KINDS
    assert str(found)
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"null_loss": -1.0}, "null_loss is -1.0"),
        ({"delta": float("nan")}, "delta is nan"),
        ({"n_classes": 1}, "n_classes is 1"),
        ({"target": 1.5}, "target is 1.5"),
        ({"resamples": -1}, "resamples is -1"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(RidgelineError, match=said):
        diagnose(world("overfitting"), **wrong)  # type: ignore[arg-type]


def test_several_arms_are_refused() -> None:
    one = world("overfitting")
    with pytest.raises(RidgelineError, match="holds 2 arms"):
        diagnose([History(one.curves, "a"), History(one.curves, "b")])
