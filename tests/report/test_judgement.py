"""The study's judgement on the page: axes, verdicts of odd arms, and what the answer says when."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import ridgeline
from ridgeline.diagnosis import Kind
from ridgeline.diagnosis.between import Difference, Relation
from ridgeline.report import answer
from ridgeline.report._arms import arm_ends, penalty_amounts
from ridgeline.report._judgement import _with_relation
from ridgeline.report._paragraph import names
from ridgeline.report._stored import Stored
from ridgeline.statistics import interval
from tests.report.conftest import tiny_study


@pytest.mark.parametrize(
    ("described", "varied", "amounts"),
    [
        ("", {}, {}),
        ("L2 at 0.01", {"regularization.strength": 0.01}, {"L2": 0.01}),
        ("proximal L1 at 1e-05 on head.*", {}, {"proximal L1 on head.*": 1e-5}),
        ("L1 at 0.1 + L2 at 0.2", {}, {"L1": 0.1, "L2": 0.2}),
        ("elastic net at 0.1", {"regularization.l1_ratio": 0.5}, {"elastic net, l1_ratio=0.5": 0.1}),
        ("max norm at 4", {}, {"max norm": 0.25}),  # a lower limit regularizes more
        ("my.module:term at 3", {}, {"my.module:term": 3.0}),
    ],
)
def test_how_much_of_each_penalty_an_arm_has(
    described: str, varied: dict[str, Any], amounts: dict[str, float]
) -> None:
    assert penalty_amounts(described, varied) == amounts


def numbers_of(tmp_path: Path, **changes: Any) -> Any:
    study = tiny_study(**{"train": {"lr": 0.01, "steps": 20}, "evaluate": {"every": 4}, **changes})
    return study.run(tmp_path / "run").numbers()


def test_stopping_earlier_is_an_axis_of_its_own(tmp_path: Path) -> None:
    found = numbers_of(tmp_path, vary={"train.steps": [20, 8], "regularization.strength": [0.0, 0.5]})
    by_setting = {
        (a["varied"]["train.steps"], a["varied"]["regularization.strength"]): a for a in found["arms"]
    }
    tested = {setting: arm["relation"]["tested"] for setting, arm in by_setting.items()}
    assert tested == {(20, 0.0): 3, (20, 0.5): 1, (8, 0.0): 1, (8, 0.5): 0}
    # what stops earlier is compared with what does not, what is penalised with what is not
    places = {setting: found["arms"].index(arm) for setting, arm in by_setting.items()}
    assert by_setting[8, 0.0]["effect"]["reference"] == places[20, 0.0]
    assert by_setting[20, 0.0]["effect"] is None


def test_fewer_steps_of_a_schedule_are_no_earlier_stop(tmp_path: Path) -> None:
    train = {"lr": 0.01, "steps": 20, "schedule": "cosine"}
    found = numbers_of(tmp_path, train=train, vary={"train.steps": [20, 8]})
    assert [arm["relation"]["tested"] for arm in found["arms"]] == [0, 0]


def test_dropout_and_weight_decay_regularize(tmp_path: Path) -> None:
    numbers_of(
        tmp_path, regularization=None, vary={"model.dropout": [0.0, 0.5], "train.weight_decay": [0.0, 0.1]}
    )
    ends = arm_ends(Stored(tmp_path / "run"))
    assert [dict(end.amounts) for end in ends] == [
        {},
        {"weight decay": 0.1},
        {"dropout": 0.5},
        {"dropout": 0.5, "weight decay": 0.1},
    ]
    assert all(end.rest == {} for end in ends)


def test_an_arm_with_a_diverged_seed_is_diverged_and_compared_with_none(tmp_path: Path) -> None:
    train = {"optimizer": "sgd", "lr": 0.1, "steps": 20}
    arms = {"sound": {}, "wild": {"train.lr": 1e30}}
    found = numbers_of(tmp_path, train=train, arms=arms, vary=None, regularization=None)
    verdict = found["arms"][1]["verdict"]
    assert verdict["kind"] == "diverged"
    assert "3 of 3 seeds diverged: seed 0 at step" in verdict["evidence"][0]
    assert found["arms"][0]["relation"]["tested"] == 0
    assert json.loads(json.dumps(found, allow_nan=False)) is not None


def test_nothing_but_diverged_arms_have_their_verdicts_too(tmp_path: Path) -> None:
    train = {"optimizer": "sgd", "lr": 1e30, "steps": 20}
    found = numbers_of(tmp_path, train=train, vary=None, regularization=None)
    assert [arm["verdict"]["kind"] for arm in found["arms"]] == ["diverged"]
    assert found["delta"] is None
    assert answer(found) == [
        "Every arm has a diverged seed, so nothing can be compared; lower the learning rate."
    ]


def test_two_seeds_get_verdicts_of_their_curves_alone(tmp_path: Path) -> None:
    found = numbers_of(tmp_path, seeds=2, vary={"regularization.strength": [0.0, 0.1]})
    assert [arm["relation"]["kind"] for arm in found["arms"]] == ["untested", "untested"]
    assert found["arms"][1]["effect"]["kind"] == "undecided"
    assert all(arm["verdict"]["kind"] for arm in found["arms"])


def beside(kind: str, val: float, train: float) -> Relation:
    """A relation to arm 1, whose losses differ by so much."""
    differ = [interval([x - 0.01, x, x + 0.01]) for x in (val, train)]
    against, difference = (None, None) if kind == "none" else (1, Difference(*differ, *differ))
    return Relation(kind, against, difference, (1,), 0.9)  # type: ignore[arg-type]  # a kind


@pytest.mark.parametrize(
    ("before", "relation", "after", "first", "last"),
    [
        # the arm's own curve decides nothing, or says that all is well: the stronger arm decides
        (
            "well_fitted",
            beside("overfitting", -0.2, 0.1),
            "overfitting",
            "with l2 validation loss is 0.2 lower",
            "own",
        ),
        ("undecided", beside("overfitting", -0.2, 0.1), "overfitting", "with l2", "own"),
        ("underfitting", beside("overfitting", -0.2, 0.1), "overfitting", "with l2", "own"),
        # it does decide: the stronger arm is further evidence
        ("overfitting", beside("overfitting", -0.2, 0.1), "overfitting", "own", "training loss 0.1 higher"),
        ("undertrained", beside("overfitting", -0.2, 0.1), "undertrained", "own", "training loss 0.1 higher"),
        (
            "overfitting",
            beside("optimization", -0.2, -0.1),
            "overfitting",
            "own",
            "optimization, not overfitting",
        ),
        ("well_fitted", beside("better", -0.2, 0.0), "well_fitted", "own", "stays open"),
        (
            "overfitting",
            beside("none", 0.0, 0.0),
            "overfitting",
            "own",
            "the one stronger or earlier-stopped arm is not shown",
        ),
        ("well_fitted", beside("none", 0.0, 0.0), "well_fitted", "own", "own"),
    ],
)
def test_what_other_arms_add_to_a_verdict(
    before: Kind, relation: Relation, after: str, first: str, last: str
) -> None:
    own = ridgeline.Verdict(before, "loss", 0.5, ("own",), ("advice",), 0.04, {})
    found = _with_relation(own, relation, {"arms": [{"arm": "none"}, {"arm": "l2"}]})
    assert found.kind == after
    assert first in found.evidence[0]
    assert last in found.evidence[-1]
    assert found.confidence == (0.9 if found.kind != before else 0.5)
    assert ("take l2" in found.advice[0]) == (found.kind != before)


@pytest.fixture
def numbers(run: Path) -> Any:
    return copy.deepcopy(json.loads((run / "results.json").read_text()))


def other(numbers: Any) -> int:
    """An arm with a penalty at the baseline's learning rate."""
    arms, base = numbers["arms"], numbers["baseline"]
    rate = arms[base]["varied"]["train.lr"]
    return next(i for i, a in enumerate(arms) if a["varied"]["train.lr"] == rate and i != base and a["final"])


def planted(numbers: Any, kind: str, *, rises: bool) -> Any:
    """The numbers with another relation of the baseline, whose curve rises or does not."""
    arm = numbers["arms"][numbers["baseline"]]
    against = other(numbers) if kind in ("overfitting", "optimization", "better") else None
    side = {"mean": -0.2, "low": -0.3, "high": -0.1, "p_holm": 0.01}
    arm["relation"] = {
        "kind": kind,
        "against": against,
        "tested": 2,
        "confidence": 1.0,
        "val_loss": side,
        "train_loss": side,
    }
    size = 5.0 * numbers["delta"]
    arm["rise"] |= (
        {"mean": size, "low": size / 2, "high": 2 * size, "lowest": 0.5}
        if rises
        else {
            "mean": 0.0,
            "low": -size,
            "high": size,
            "lowest": 0.5,
        }
    )
    return numbers


@pytest.mark.parametrize(
    ("kind", "rises", "says"),
    [
        ("overfitting", True, "so this is overfitting and no matter of optimization"),
        ("overfitting", False, "at a higher training loss"),
        ("optimization", True, "better optimization, not less overfitting"),
        ("optimization", False, "better optimization, not less overfitting"),
        ("better", False, "stays open"),
        ("none", False, "yet nothing tried improves it: none of 2 stronger"),
        ("untested", False, "is undecided"),
    ],
)
def test_the_answer_follows_the_relation(numbers: Any, kind: str, rises: bool, says: str) -> None:
    found = planted(numbers, kind, rises=rises)
    found["arms"][found["baseline"]]["final"]["gap"]["mean"] = 2 * found["large_gap"]
    said = answer(found)
    assert says in " ".join(said)
    assert said[0].startswith("The model without a penalty overfits") == (rises or kind == "overfitting")
    assert ("Stopped early" in " ".join(said)) == rises


def test_a_small_gap_that_nothing_improves_is_not_spoken_of(numbers: Any) -> None:
    found = planted(numbers, "none", rises=False)
    found["arms"][found["baseline"]]["final"]["gap"]["mean"] = 0.5 * found["large_gap"]
    assert "nothing tried" not in " ".join(answer(found))


def test_of_many_arms_a_few_are_named(numbers: Any) -> None:
    places = list(range(6))
    assert "more" not in names(numbers, places)
    assert names(numbers, [*places, 0, 1]).endswith(" and 3 more")


def test_verdicts_of_results_are_ridgelines_own(run: Path) -> None:
    found = ridgeline.Results.open(run).verdicts()
    assert all(isinstance(verdict, ridgeline.Verdict) for verdict in found.values())
    assert list(found) == ridgeline.Results.open(run).summary()["arm"].to_list()
