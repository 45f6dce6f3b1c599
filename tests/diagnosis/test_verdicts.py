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


def _seed(n: int, run: str, **others: Curve) -> History:
    whole = world("overfitting", 200, seed=int(run)).curves
    curves = {name: Curve(c.steps[:n], c.values[:n]) for name, c in whole.items()} | others
    return History(curves, run=run)  # type: ignore[arg-type]  # names of roles


def test_seeds_may_differ_in_what_they_log() -> None:
    accuracy = Curve.of(1.0 - falling(200, 0.9, 0.1))
    found = diagnose([_seed(200, "0"), _seed(200, "1", val_accuracy=accuracy)], resamples=0)
    assert (found.kind, found.other is not None) == ("overfitting", True)
    bare = {"val_loss": _seed(200, "2").curves["val_loss"]}
    found = diagnose([_seed(200, "0"), _seed(200, "1"), History(bare, run="2")], resamples=0)  # type: ignore[arg-type]
    assert found.kind == "overfitting"
    assert "1 of 3 runs, without a training curve, was left out" in found.evidence


def test_a_seed_that_ends_early_does_not_cut_the_others() -> None:
    found = diagnose([_seed(40, "0"), _seed(200, "1"), _seed(200, "2")], resamples=0)
    assert (found.kind, found.features["points"]) == ("overfitting", 200)
    assert any("of less than half as many steps" in said for said in found.evidence)
    found = diagnose([_seed(150, "0"), _seed(200, "1"), _seed(180, "2")], resamples=0)
    assert found.features["points"] == 150
    assert any("between step 150 and step 200; they were judged up to step 150" in s for s in found.evidence)


def test_runs_without_a_common_step_are_not_averaged() -> None:
    one = _seed(200, "0")
    later = {name: Curve(c.steps + 300, c.values) for name, c in one.curves.items()}
    found = diagnose([one, History(later, run="1")], resamples=0)
    assert any("share no steps" in said for said in found.evidence)


def test_a_broken_run_is_named() -> None:
    one = _seed(200, "0")
    cut = one.curves["train_loss"].values.copy()
    cut[120:] = np.nan
    broken = History({**one.curves, "train_loss": Curve.of(cut)}, run="1")
    assert diagnose(broken, resamples=0).evidence[0] == "training loss is not finite from step 121 on"
    said = diagnose([one, broken, _seed(200, "2")], resamples=0).evidence[0]
    assert said == "1 of 3 runs is not finite to the end: training loss from step 121 on"


def test_numbers_that_are_left_out_are_counted() -> None:
    nan = [float("nan")] * 3
    log = {"loss": [*nan, *falling(60, 2.0, 0.1)], "val_loss": [*nan, *falling(60, 2.0, 0.5)]}
    assert "6 numbers were not finite and left out" in diagnose(log, resamples=0).evidence


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_the_gap_says_which_curve_is_above(metric: str) -> None:
    n = 200
    easy, hard = falling(n, 0.8, 0.1, 12.0), falling(n, 0.9, 0.3, 12.0)
    log = {"loss": hard, "val_loss": easy} if metric == "loss" else {"acc": 1 - hard, "val_acc": 1 - easy}
    said = " ".join(diagnose(log, resamples=0, data_loss_alone=True).evidence)
    side = "below" if metric == "loss" else "above"
    assert f"validation {metric} ends 0.2" in said.replace("0.200", "0.2")
    assert f"{side} training {metric}" in said


def test_accuracy_under_dropout_begins_below() -> None:
    n = 200
    log = {"acc": 1.0 - falling(n, 0.9, 0.2, 9.0), "val_acc": 1.0 - falling(n, 0.6, 0.1, 12.0)}
    said = " ".join(diagnose(log, resamples=0).evidence)
    assert "training accuracy begins below validation accuracy" in said
    assert "above validation accuracy, by" not in said


def test_a_loss_beside_a_constant_moved() -> None:
    clean = world("well_fitted", 200, noise=0.004)
    log = {name: clean.curves[name].values + 1e5 for name in ("train_loss", "val_loss")}
    found = diagnose(log, resamples=0)
    assert found.kind == "undecided"
    assert re.match(r"validation loss is at its best 1\.\d+ better than where it began", found.evidence[0])
    assert "less than δ = 500" in found.evidence[0]
    assert "smaller delta than 500" in found.advice[0]
    assert diagnose(log, delta=0.036, resamples=0).kind == "well_fitted"


def test_small_moves_are_shown_in_digits_enough() -> None:
    log = world("overfitting").curves
    found = diagnose(
        {name: log[name].values + 1e4 for name in ("train_loss", "val_loss")}, delta=0.036, resamples=0
    )
    before, after = re.findall(r"training loss fell from ([\d.e+]+) to ([\d.e+]+)", found.evidence[0])[0]
    assert float(before) > float(after)


@pytest.mark.parametrize(
    "log", [{"loss": [2.3] * 30, "val_loss": [2.3] * 30}, {"acc": [1.0] * 30, "val_acc": [1.0] * 30}]
)
def test_a_constant_curve_neither_rose_nor_fell(log: dict[str, list[float]]) -> None:
    said = " ".join(diagnose(log, resamples=0).evidence)
    assert "nowhere better than where it began" in said
    assert "rose" not in said
    assert "fell" not in said


def test_a_penalty_that_falls_is_no_overfitting() -> None:
    clean = world("well_fitted").curves
    inside = clean["train_loss"].values + falling(200, 3.0, 0.15, 3.0)
    found = diagnose(history(inside, clean["val_loss"].values), resamples=0)
    assert found.kind == "well_fitted"


def test_held_out_data_alone_do_not_diverge() -> None:
    t = np.linspace(0.0, 1.0, 200)
    val = falling(200, 1.0, 0.3, 15.0) + 1.5 * np.maximum(t - 0.2, 0.0)
    found = diagnose({"val_loss": val}, resamples=0)
    assert found.kind == "undecided"
    assert "validation loss rose 1.1" in found.evidence[0]
    assert diagnose({"loss": val}, resamples=0).kind == "diverged"  # training has no such excuse


def test_training_accuracy_alone_has_the_null_of_accuracy() -> None:
    found = diagnose({"acc": 1.0 - falling(50, 0.9, 0.1)}, n_classes=10, resamples=0)
    assert found.features["null"] == pytest.approx(0.9)


def test_delta_of_a_loss_is_not_silently_dropped() -> None:
    log = {"acc": 1.0 - falling(50, 0.9, 0.1), "val_acc": 1.0 - falling(50, 0.9, 0.15)}
    assert "delta is in units of a loss and was not used" in " ".join(diagnose(log, delta=0.5).evidence)


def test_a_squared_error_is_no_wrong_cross_entropy() -> None:
    n = 60
    log = {"train_mse": falling(n, 0.09, 0.01), "val_mse": falling(n, 0.09, 0.02)}
    log["val_accuracy"] = 1.0 - falling(n, 0.9, 0.08)
    assert "cross-entropy" not in " ".join(diagnose(log, resamples=0).evidence)


def test_every_overfitting_names_a_knob() -> None:
    n = 200
    parted = history(falling(n, 2.3, 0.3, 3.0), falling(n, 2.3, 0.55, 25.0))
    found = diagnose(parted, resamples=0)
    assert found.kind == "overfitting"
    assert "over the second half" in found.evidence[0]
    assert "strengthen the regularization" in found.advice[0]


def test_advice_does_not_rule_out_what_the_curve_shows() -> None:
    train = [2.3, 1.5, 1, 0.7, 0.5, 0.35, 0.2, 0.1, 0.06, 0.03]
    val = [2.2, 1.6, 1.3, 1.1, 1.0, 1.02, 1.1, 1.2, 1.35, 1.5]
    found = diagnose({"loss": train, "val_loss": val}, resamples=0)
    assert found.kind == "overfitting"
    assert "stopping at row 5 may help too" in found.advice[0]


def test_one_point_asks_for_more_points() -> None:
    found = diagnose({"loss": [2.0], "val_loss": [2.0]}, resamples=0)
    assert found.evidence[0].startswith("1 point is too few")
    assert "more points" in found.advice[0]


def test_the_step_to_stop_at_is_one_of_the_log() -> None:
    found = diagnose(world("overfitting", 200), resamples=0)
    assert re.match(r"stop at step \d+,", found.advice[0])


def test_a_gap_above_all_that_was_learned_has_no_percentage() -> None:
    n = 200
    found = diagnose(history(falling(n, 4.5, 0.001, 40.0), falling(n, 4.6, 4.0, 12.0)), resamples=0)
    assert found.kind == "overfitting"
    assert "more than all that was learned of it" in found.evidence[0]


def test_worse_than_null_has_a_delta_and_says_worse() -> None:
    flat = np.full(60, 2.5) + 0.001 * ar(np.random.default_rng(0), 60, 0.0)
    found = diagnose({"loss": flat, "val_loss": flat + 0.003}, n_classes=10, resamples=0)
    assert found.kind == "underfitting"
    assert found.delta == pytest.approx(0.02 * np.log(10.0))
    assert "9% worse than the null predictor's 2.303" in found.evidence[0]


def test_skill_by_accuracy_counts_errors() -> None:
    log = {"acc": 1.0 - falling(200, 0.9, 0.5, 12.0), "val_acc": 1.0 - falling(200, 0.9, 0.52, 12.0)}
    found = diagnose(log, target=0.9, n_classes=10, resamples=0)
    assert found.kind == "underfitting"
    assert "accuracy ends at 0.500, 44% fewer errors than at the null predictor's 0.100" in found.evidence[0]
