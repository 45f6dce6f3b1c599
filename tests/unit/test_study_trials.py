"""Trial identity: one hash for one program, whatever way it was written."""

from typing import Any

import pytest

from ridgeline import Study
from ridgeline.study._programs import rules_of
from tests.unit.study_specs import spec, study


def identity(raw: dict[str, Any]) -> str:
    """The id of the first trial."""
    return Study(**raw).trials()[0].trial_id


def test_key_order_changes_nothing() -> None:
    raw = spec()
    turned = {
        key: dict(reversed(v.items())) if isinstance(v, dict) else v for key, v in reversed(raw.items())
    }
    assert list(turned) != list(raw)
    assert identity(turned) == identity(raw)


@pytest.mark.parametrize(
    ("section", "written_out"),
    [
        ("data", {"label_noise": 0.0, "split": "seed"}),
        ("data", {"label_noise": 0}),
        ("model", {"dropout": 0.0}),
        ("model", {"dropout": 0}),
        ("train", {"optimizer": "adam", "weight_decay": 0, "schedule": "constant"}),
        ("train", {"schedule": {"name": "constant", "warmup": 0}}),
        ("regularization", {"mode": "loss", "reduction": "sum"}),
        ("regularization", {"name": "a name is no setting"}),
        (None, {"evaluate": {"train_examples": 5_000}}),
        (None, {"name": "renamed"}),
    ],
)
def test_defaults_written_out_change_nothing(section: str | None, written_out: dict[str, Any]) -> None:
    assert identity(spec(section, **written_out)) == identity(spec())


@pytest.mark.parametrize(
    ("section", "change"),
    [
        ("data", {"n_train": 61}),
        ("data", {"split": "fixed"}),
        ("model", {"hidden": [9]}),
        ("model", {"dropout": 0.1}),
        ("train", {"lr": 0.011}),
        ("train", {"steps": 21}),
        ("train", {"schedule": "cosine"}),
        ("train", {"weight_decay": 0.1}),
        ("regularization", {"strength": 1e-9}),
        (None, {"evaluate": {"every": 3}}),
    ],
)
def test_another_setting_is_another_trial(section: str | None, change: dict[str, Any]) -> None:
    assert identity(spec(section, **change)) != identity(spec())


def test_seeds_are_different_trials_and_more_seeds_keep_the_first() -> None:
    two, five = (study(seeds=n).trials() for n in (2, 5))
    assert len({trial.trial_id for trial in five}) == 5
    assert [t.trial_id for t in two] == [t.trial_id for t in five[:2]]


def test_a_penalty_of_strength_0_is_no_penalty_whatever_its_kind() -> None:
    arms: dict[str, dict[str, Any]] = {
        "none": {"regularization": None},
        "l1": {"regularization.penalty": "l1"},
        "l2": {"regularization.penalty": "l2", "regularization.mode": "coupled"},
        "list": {"regularization": [{"penalty": "l2", "strength": 0, "match": "*"}]},
    }
    trials = study(arms=arms).trials()
    assert [trial.arm for trial in trials] == list(arms)
    assert len({trial.trial_id for trial in trials}) == 1
    assert all(rules_of(trial.config) == [] for trial in trials)
    strong = {name: {**arms[name], "regularization.strength": 0.1} for name in ("l1", "l2")}
    assert len({trial.trial_id for trial in study(arms=strong).trials()}) == 2


def test_a_rule_of_strength_0_counts_while_a_later_one_acts() -> None:
    spare, act = (
        {"penalty": "l2", "strength": s, "match": m} for s, m in ((0, "output.*"), (0.1, "*.weight"))
    )
    both, alone, turned = (
        identity(spec(regularization=rules)) for rules in ([spare, act], [act], [act, spare])
    )
    assert both != alone
    assert turned == alone


def test_of_several_rules_of_one_arm_all_are_described() -> None:
    rules = [
        {"penalty": "l1", "strength": 0.01, "match": "hidden1.*"},
        {"penalty": "l2", "strength": 0.5},
    ]
    assert study(regularization=rules).trials()[0].config.describe() == "L1 at 0.01 on hidden1.* + L2 at 0.5"
    assert study().trials()[0].config.describe() == ""


def test_the_layout_has_every_varied_key_in_every_row() -> None:
    trials = study(arms={"plain": {}, "drop": {"model.dropout": 0.5}}, seeds=1).trials()
    rows = [trial.layout() for trial in trials]
    assert [row["model.dropout"] for row in rows] == [None, 0.5]
    assert [row["arm"] for row in rows] == ["plain", "drop"]
