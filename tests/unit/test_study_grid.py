"""The grid: arms × vary × seeds, ranges, and overrides by dotted key."""

import math
from typing import Any

import pytest

from ridgeline import RidgelineError, Study
from ridgeline.study._grid import RangeConfig, override
from tests.unit.study_specs import spec, study


def axis(**range_: Any) -> list[float]:
    """The values of a range."""
    return RangeConfig.model_validate(range_).values()


def test_a_log_range_is_even_in_the_logarithm() -> None:
    assert axis(log=[1e-5, 1e-1], n=5) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert axis(log=[1.0, 100.0], n=3, zero=True) == [0.0, 1.0, 10.0, 100.0]
    steps = [
        math.log(b / a)
        for a, b in zip(axis(log=[1e-4, 3.0], n=8), axis(log=[1e-4, 3.0], n=8)[1:], strict=False)
    ]
    assert steps == pytest.approx([steps[0]] * 7)


def test_a_linear_range_is_even() -> None:
    assert axis(linear=[0, 1], n=5) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert axis(linear=[0.1, 0.3], n=3) == [0.1, 0.2, 0.3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"log": [0, 1], "n": 2},
        {"log": [1e-3, 1], "linear": [0, 1], "n": 2},
        {"n": 2},
        {"log": [1e-3], "n": 2},
        {"log": [1e-3, math.inf], "n": 2},
        {"log": [1e-3, 1], "n": 0},
        {"log": [1e-3, 1]},
        [],
        [0.1, 0.2, 0.1],
        [0, 0.0],
        {"linear": [0, 1], "n": 2, "zero": True},
        0.1,
        None,
    ],
)
def test_a_wrong_axis_is_refused_by_its_key(wrong: object) -> None:
    with pytest.raises(RidgelineError, match="vary") as caught:
        study(vary={"regularization.strength": wrong})
    assert "strength" in str(caught.value)


def test_arms_times_vary_times_seeds() -> None:
    raw = spec(
        arms={"plain": {}, "wide": {"model.hidden": [32]}},
        vary={"regularization.strength": [0, 0.1, 1.0], "train.lr": [0.01, 0.1]},
        seeds=3,
    )
    trials = Study(**raw).trials()
    assert len(trials) == len({t.trial_id for t in trials}) == 2 * 3 * 2 * 3
    arms = list(dict.fromkeys(trial.arm for trial in trials))
    assert arms[:2] == ["plain, strength=0, lr=0.01", "plain, strength=0, lr=0.1"]
    assert arms[-1] == "wide, strength=1, lr=0.1"
    assert [t.seed for t in trials[:3]] == [0, 1, 2]
    last = trials[-1]
    assert last.config.model_options == {"hidden": [32]}
    assert (last.config.regularization[0].strength, last.config.train.lr) == (1.0, 0.1)
    assert last.varied == {"model.hidden": "[32]", "regularization.strength": 1.0, "train.lr": 0.1}


def test_a_study_that_varies_nothing_is_one_arm_of_its_own_name() -> None:
    assert [(t.arm, t.seed) for t in study(seeds=2).trials()] == [("tiny", 0), ("tiny", 1)]


def test_axes_that_end_alike_are_told_apart_in_labels() -> None:
    entries = [
        {"penalty": "l1", "strength": 0.0, "name": "a", "match": "hidden1.*"},
        {"penalty": "l2", "strength": 0.0, "name": "b"},
    ]
    raw = spec(
        regularization=entries,
        vary={"regularization.a.strength": [0.5], "regularization.b.strength": [2.0]},
    )
    (trial,) = Study(**raw).trials()
    assert trial.arm == "a.strength=0.5, b.strength=2"
    assert [e.strength for e in trial.config.regularization] == [0.5, 2.0]


def test_an_override_reaches_absent_sections_and_leaves_the_original() -> None:
    sections: dict[str, Any] = {"train": {"lr": 1.0, "schedule": None}, "regularization": None}
    changed = override(sections, {"train.schedule.name": "cosine", "regularization.strength": 1.0})
    assert changed["train"] == {"lr": 1.0, "schedule": {"name": "cosine"}}
    assert changed["regularization"] == {"strength": 1.0}
    assert sections == {"train": {"lr": 1.0, "schedule": None}, "regularization": None}


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("lr", "cannot be varied"),
        ("seeds", "cannot be varied"),
        ("train.lr.x", "no section"),
        ("train.lr.x.y", "no section"),
        ("regularization.strength", "by its name"),
        ("regularization.hed.strength", "did you mean 'head'"),
    ],
)
def test_a_key_that_leads_nowhere_is_refused(key: str, says: str) -> None:
    entries = [{"penalty": "l2", "strength": 0.0, "name": "head"}]
    with pytest.raises(RidgelineError, match=says):
        study(regularization=entries, vary={key: [1.0]})


def test_a_key_both_varied_and_in_an_arm_is_refused() -> None:
    with pytest.raises(RidgelineError, match=r"arms\.slow\.train\.lr"):
        study(arms={"slow": {"train.lr": 1e-4}}, vary={"train.lr": [0.1, 0.2]})


def test_a_wrong_value_in_an_arm_names_the_arm() -> None:
    with pytest.raises(RidgelineError, match=r"arm 'odd'.*train\.lr"):
        study(arms={"plain": {}, "odd": {"train.lr": "fast"}})


def test_set_changes_one_key_and_no_varied_one() -> None:
    base = study(vary={"regularization.strength": [0, 0.1]})
    changed = base.with_changes({"train.lr": 0.5, "seeds": 2, "vary.regularization.strength": [0, 1, 2]})
    assert len(changed.trials()) == 6
    assert changed.trials()[0].config.train.lr == 0.5
    assert base.trials()[0].config.train.lr == 0.01
    with pytest.raises(RidgelineError, match="the study varies it"):
        base.with_changes({"regularization.strength": 0.3})
    with pytest.raises(RidgelineError, match="'name'"):
        base.with_changes({"nam": "x"})
