"""S4: the study is the page's, its identities hold, and its claims decide planted results rightly."""

import math
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from ridgeline.recipes import _line_adam as s4
from ridgeline.recipes._recipe import Evidence, caught

CHECKS = s4.checks()


def planted(factor: float, penalty: float = 0.0, null: float = 1.0, seeds: int = 30) -> Evidence:
    """Results in which the test data loss at each λ > 0 is `factor` times that at 0, up to 10 % of noise."""
    trials, predictions, curves = [], [], []
    for n in s4.SIZES:
        for s in s4.STRENGTHS:
            for seed in range(seeds):
                name = f"{n}-{s}-{seed}"
                row = {"trial_id": name, "arm": s4.arm(n, s), "seed": seed, "status": "done"}
                trials.append({**row, "null_test_loss": null})
                noise = math.exp(0.1 * math.sin(7 * seed + s))
                loss = (factor if s else 1.0) * noise
                predictions.append(
                    {"trial_id": name, "set": "test", "when": "last", "example": 0, "loss": loss}
                )
                curves += [
                    {
                        "trial_id": name,
                        "step": step,
                        "test_all_loss": loss * (1.0 + 0.01 * math.sin(step)),
                        "penalty": penalty * 1.01**-step,
                    }
                    for step in range(1, 61)
                ]
    found = SimpleNamespace(
        trials=pl.DataFrame(trials), predictions=pl.DataFrame(predictions), curves=pl.DataFrame(curves)
    )
    return Evidence(cast(Any, found), CHECKS, "full")


def test_the_study_is_the_pages() -> None:
    study = s4.study("full")
    trials = study.trials()
    assert len(trials) == 2 * 5 * 30
    for trial in trials:
        config = trial.config
        assert (config.train.optimizer, config.train.lr, config.train.epochs, config.train.loss) == (
            *("adam", 0.05),
            *(1000, "mse"),
        )
        assert config.train.batch_size == config.data["n_train"] == config.data["n_test"]
        (entry,) = config.regularization
        assert entry.reduction == "mean"  # λ·mean(w²) is L2(2λ) with the mean
    assert {t.config.regularization[0].strength for t in trials} == {0.0, 2.0, 6.0, 20.0, 200.0}


@pytest.mark.parametrize(
    ("factor", "outcome"), [(0.5, "reproduced"), (1.0, "refuted"), (2.0, "refuted"), (0.92, "undecided")]
)
def test_the_test_loss_claim_decides_planted_results(factor: float, outcome: str) -> None:
    found = s4.claim_test_loss_falls(planted(factor))
    assert found.outcome == outcome
    assert found.numbers[s4.arm(20, 10.0)]["mean"] == pytest.approx(-math.log(factor), abs=0.05)


def test_few_seeds_decide_nothing() -> None:
    assert s4.claim_test_loss_falls(planted(0.5, seeds=4)).outcome == "undecided"


@pytest.mark.parametrize("kept", [("10 samples, λ = 0",), ("10 samples, λ = 0", "20 samples, λ = 0")])
def test_arms_without_a_seed_decide_nothing_and_fail_nowhere(kept: tuple[str, ...]) -> None:
    evidence = planted(0.5)
    results = cast(Any, evidence.results)
    results.trials = results.trials.filter(pl.col("arm").is_in(kept))
    found = s4.claim_test_loss_falls(evidence)
    assert found.outcome == "undecided"
    assert "no seed finished in all arms of 10 samples" in found.sentence
    assert caught(s4.RECIPE, evidence)[0]["said"] == "nothing: it went unnoticed"


def test_the_identities_hold() -> None:
    evidence = planted(1.0)
    assert CHECKS["update"]["ours"] < 1e-13
    assert s4.claim_update(evidence).outcome == "refuted"
    assert s4.claim_is_weight_decay(evidence).outcome == "refuted"
    wrong = {**CHECKS, "update": {**CHECKS["update"], "ours": 1e-3}}
    assert s4.claim_update(Evidence(evidence.results, wrong, "quick")).outcome == "not reproduced"
    same = {**CHECKS, "adam_against_adamw": [1e-9] * 30}
    assert s4.claim_is_weight_decay(Evidence(evidence.results, same, "full")).outcome == "undecided"


def test_the_sources_bugs_are_named_where_they_are() -> None:
    said = [caught(s4.RECIPE, planted(1.0, penalty=size))[0]["said"] for size in (50.0, 0.0)]
    assert "in 30 of 30 runs the held-out loss moves with the penalty one for one" in said[0]
    assert said[1] == "nothing: it went unnoticed"
    assert "leaves the learning rate out" in s4.missing_rate(planted(1.0))
