"""Judging a run: claims wait for all seeds, and lose their verdict where seeds of an arm they read diverged."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from ridgeline.recipes import RECIPES
from ridgeline.recipes._evidence import accuracy_gap, by_seed, means
from ridgeline.recipes._recipe import Claim, Evidence, Judgement, Recipe, judged, seeds_in
from ridgeline.statistics import interval

SEEDS = 3


def claim(evidence: Evidence) -> Judgement:
    """a is above 0"""
    values = by_seed(evidence.results, "a", pl.col("value"))
    return Judgement("reproduced" if min(values.values()) > 0 else "refuted", f"over {len(values)} seeds.")


def exact(evidence: Evidence) -> Judgement:
    """an identity"""
    return Judgement("reproduced", "exact.")


def recipe(**changes: Any) -> Recipe:
    trials = [SimpleNamespace(arm=arm, seed=seed) for arm in ("a", "b") for seed in range(SEEDS)]
    study = SimpleNamespace(trials=lambda: trials)
    claims = [Claim("1", "above", claim, **changes), Claim("2", "exact", exact, identity=True)]
    return Recipe("x", "", lambda profile: cast(Any, study), claims=claims)


def run(missing: tuple[str, int] | None = None, diverged: tuple[str, int] | None = None) -> Evidence:
    rows = [
        {"arm": arm, "seed": s, "status": "diverged" if (arm, s) == diverged else "done", "value": 1.0}
        for arm in ("a", "b")
        for s in range(SEEDS)
        if (arm, s) != missing
    ]
    return Evidence(cast(Any, SimpleNamespace(trials=pl.DataFrame(rows))), {}, "full")


def test_all_seeds_decide() -> None:
    assert [row["outcome"] for row in judged(recipe(), run())] == ["reproduced"] * 2


@pytest.mark.parametrize("arm", ["a", "b"])
def test_a_seed_that_is_not_in_decides_nothing_but_identities(arm: str) -> None:
    evidence = run(missing=(arm, 2))
    assert seeds_in(recipe(), evidence.results) == (2, 3)
    first, second = judged(recipe(), evidence)
    assert (first["outcome"], second["outcome"]) == ("undecided", "reproduced")
    assert first["sentence"].startswith("2 of 3 seeds are in, and nothing is decided before: over")


def test_a_diverged_seed_counts_where_the_claim_reads_its_arm() -> None:
    first, second = judged(recipe(), run(diverged=("a", 1)))
    assert (first["outcome"], second["outcome"]) == ("undecided", "reproduced")
    assert first["sentence"] == (
        "seeds diverged in a, and those that are left were chosen by their outcome: over 2 seeds."
    )
    assert judged(recipe(), run(diverged=("b", 1)))[0]["outcome"] == "reproduced"
    assert judged(recipe(counts_diverged=True), run(diverged=("a", 1)))[0]["outcome"] == "reproduced"


def test_every_recipe_asks_for_as_many_seeds_as_were_fixed() -> None:
    found = {name: seeds_in(each, run().results)[1] for name, each in RECIPES.items() if each.claims}
    assert found == {
        "mnist-conv-l2": 10,
        "line-weight-decay": 30,
        "fashion-dropout": 10,
        "mnist-wide-lr": 5,
        "mnist-wide-l2": 10,
        "penalty-object": 30,
        "line-adam": 30,
    }


def test_an_accuracy_gap_carries_the_sampling_of_the_training_examples() -> None:
    """s²/n of the stretched values is s²/n + s²/n_train, and every seed keeps its mean."""
    n, n_train = 200, 50
    trials = [
        {"trial_id": str(s), "arm": "a", "seed": s, "status": "done", "final_train_accuracy": 0.9 + 0.01 * s}
        for s in range(SEEDS)
    ]
    predictions = [
        {"trial_id": str(s), "set": "test", "when": "last", "example": i, "correct": (i * 7 + s) % 10 > 1}
        for s in range(SEEDS)
        for i in range(n)
    ]

    def found(trained: int) -> Any:
        frame = pl.DataFrame(trials).with_columns(n_train=pl.lit(trained))
        results = SimpleNamespace(trials=frame, predictions=pl.DataFrame(predictions))
        return interval(*means(accuracy_gap(cast(Any, results), "a")))

    alone, both = found(10**12), found(n_train)
    assert both.mean == pytest.approx(alone.mean)
    assert both.se_seeds == pytest.approx(alone.se_seeds)
    assert both.se_examples**2 == pytest.approx(alone.se_examples**2 * (1 + n / n_train))
