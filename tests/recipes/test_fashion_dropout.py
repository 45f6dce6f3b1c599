"""S1, dropout: the study is the page's, its identity holds, and claim and flag decide planted results rightly."""

import math
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
import torch
from torch import nn

from ridgeline.diagnosis import Curve, contradictions
from ridgeline.lanes._loss import correct, example_losses
from ridgeline.models import build_factory
from ridgeline.noise import Clock, Dropout
from ridgeline.recipes import _fashion_dropout as s1
from ridgeline.recipes import _fashion_dropout_claims as claims
from ridgeline.recipes._fashion_dropout_claims import PUBLISHED, WAYS, arm
from ridgeline.recipes._layers import dropout_mlp
from ridgeline.recipes._recipe import Evidence, caught, judged
from ridgeline.report import Results
from tests.end_to_end.commands import start

FULL = s1.study("full")
CHECKS = s1.checks()
KINDS = ("dropout", "control")
N_TEST = 400


def test_the_study_is_the_pages() -> None:
    assert [t.arm for t in FULL.trials() if t.seed == 0] == [arm(w, k) for w in WAYS for k in KINDS]
    assert len(FULL.trials()) == 4 * 10
    for one in FULL.trials():
        settings = one.config.train
        scratch = one.arm.startswith("scratch")
        assert (settings.optimizer, settings.batch_size, settings.steps) == ("sgd", 256, 5 * 235)
        assert settings.lr == (100 / 256 if scratch else 0.5)
        assert one.config.model_options["rates"] == ([0.2, 0.5] if "dropout" in one.arm else [0.0, 0.0])
        assert one.config.model_options.get("bias_spread", 0.0) == (0.0 if scratch else 0.01)
        assert (one.config.evaluate.every, one.config.evaluate.sets) == (235, {"test_all": "test"})
        assert one.config.data == {"name": "fashion-mnist"}
        assert not one.config.penalised


@pytest.mark.parametrize("bias_spread", [0.0, 0.01])
def test_the_model_is_the_pages(bias_spread: float) -> None:
    options = {"rates": [0.2, 0.5], "bias_spread": bias_spread}
    model = build_factory(dropout_mlp, options, Clock(seed=0))
    assert [type(layer).__name__ for layer in model.children()] == (
        ["Flatten"] + ["Linear", "ReLU", "Dropout"] * 2 + ["Linear"]
    )
    assert [layer.p for layer in model.modules() if isinstance(layer, Dropout)] == [0.2, 0.5]
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(256, 784), (256, 256), (10, 256)]
    assert sum(p.numel() for p in model.parameters()) == 784 * 256 + 256 + 256 * 256 + 256 + 2_560 + 10
    for layer in layers:
        n = layer.weight.numel()
        assert abs(float(layer.weight.detach().mean())) < 4 * 0.01 / n**0.5
        assert float(layer.weight.detach().std()) == pytest.approx(0.01, rel=4 / (2 * n) ** 0.5)
    biases = torch.cat([layer.bias.detach() for layer in layers])
    assert float(biases.std()) == pytest.approx(bias_spread, rel=0.15)
    control = build_factory(dropout_mlp, {**options, "rates": [0.0, 0.0]}, Clock(seed=0))
    for a, b in zip(model.parameters(), control.parameters(), strict=True):
        assert torch.equal(a, b)
    x = torch.rand(3, 1, 28, 28)
    assert torch.equal(model.eval()(x), control.train()(x))


def test_the_identity_holds() -> None:
    found = claims.claim_expectation(Evidence(cast(Any, None), CHECKS, "quick"))
    assert found.outcome == "reproduced"
    assert (
        s1.RECIPE.claims[0].rule == "p = 0 bit-equal, p = 1 zeros, mean of 10⁶ draws within 4 standard errors"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"identity": False},
        {"zeros": False},
        {"off": False},
        {"means": {"0.2": {"standard_error": 5e-4, "ridgeline": 1.0021, "torch": 1.0}}},
        {"means": {"0.2": {"standard_error": 5e-4, "ridgeline": 1.0, "torch": 0.9979}}},
    ],
)
def test_the_identity_can_fail(wrong: dict[str, Any]) -> None:
    found = claims.claim_expectation(Evidence(cast(Any, None), {**CHECKS, **wrong}, "quick"))
    assert found.outcome == "not reproduced"


def test_checks_leave_torchs_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    s1.checks()
    assert torch.equal(before, torch.get_rng_state())


def planted(
    closed: float = 0.02,
    better: float = 0.0,
    noise: float = 0.002,
    seeds: int = 10,
    without: str = "",
    loss: float = 0.42,
    running: tuple[float, float] = (0.848, 0.82),
    concise_closed: float | None = None,
) -> Evidence:
    """A control with a gap of .06; dropout closes so much of it and betters test accuracy by `better`."""
    trials, predictions, curves = [], [], []
    for place, (way, kind) in enumerate((w, k) for w in WAYS for k in KINDS):
        label = arm(way, kind)
        fall = closed if way == "scratch" or concise_closed is None else concise_closed
        test = 0.8 + (better if kind == "dropout" else 0.0)
        for seed in range(seeds if label != without else 0):
            name = f"{place}-{seed}"
            jitter = noise * 2**0.5 * math.sin(7 * seed + place)
            gap = 0.06 - (fall if kind == "dropout" else 0.0) + jitter
            row = {"trial_id": name, "arm": label, "seed": seed, "status": "done"}
            trials.append({**row, "final_train_accuracy": test + gap, "n_train": 10**9})
            given = {"trial_id": name, "set": "test", "when": "last"}
            predictions += [
                {**given, "example": i, "loss": 0.0, "correct": i < test * N_TEST} for i in range(N_TEST)
            ]
            for step, share in ((235, 2.7), (1_175, 1.0)):
                accuracy, shown = (value + jitter for value in running)
                values = {
                    "running_loss": loss * share + jitter,
                    "running_accuracy": accuracy if share == 1 else 0.55,
                }
                curves.append({"trial_id": name, "step": step, **values, "test_all_accuracy": shown})
    frames: dict[str, list[dict[str, Any]]] = {"trials": trials, "predictions": predictions, "curves": curves}
    found = SimpleNamespace(**{name: pl.DataFrame(rows) for name, rows in frames.items()})
    return Evidence(cast(Any, found), CHECKS, "full")


@pytest.mark.parametrize(
    ("closed", "noise", "outcome"),
    [
        (0.02, 0.002, "reproduced"),
        (0.0, 0.002, "refuted"),
        (-0.02, 0.002, "refuted"),  # dropout widens it
        (0.003, 0.0005, "refuted"),  # closed, by less than matters
        (0.005, 0.02, "undecided"),
    ],
)
def test_countering_overfitting(closed: float, noise: float, outcome: str) -> None:
    found = claims.claim_counters(planted(closed, noise=noise))
    assert found.outcome == outcome
    for way in WAYS:
        assert found.numbers[way]["closed"]["mean"] == pytest.approx(closed, abs=noise)
        assert found.numbers[way]["test_accuracy"]["mean"] == pytest.approx(0.0)


def test_the_change_of_test_accuracy_stands_beside_it() -> None:
    """A smaller gap at a worse test accuracy is said as it is, and the examples' sampling is in the interval."""
    found = claims.claim_counters(planted(0.02, better=-0.05))
    for way in WAYS:
        beside = found.numbers[way]["test_accuracy"]
        assert beside["mean"] == pytest.approx(-0.05)
        # 20 of 400 examples differ: s²/n alone is (.011)²
        assert beside["high"] - beside["low"] > 4 * 0.0109
        closing = found.numbers[way]["closed"]
        assert closing["high"] - closing["low"] > 4 * 0.0109
    assert found.sentence.count("-0.0500") == 2


def test_two_ways_that_differ_decide_nothing() -> None:
    found = claims.claim_counters(planted(0.02, concise_closed=-0.02))
    assert found.outcome == "undecided"
    assert [found.numbers[way]["outcome"] for way in WAYS] == ["reproduced", "refuted"]


@pytest.mark.parametrize(
    ("running", "place", "named"),
    [
        ((0.848, 0.83), "inside", ""),
        ((0.848, 0.99), "outside", ".851 concise"),
        ((0.70, 0.83), "outside", "0.848 scratch"),
    ],
)
def test_published_accuracies_have_their_place(running: tuple[float, float], place: str, named: str) -> None:
    found = claims.claim_counters(planted(running=running, noise=0.015))
    assert found.place == place
    assert named in found.sentence
    assert len(found.numbers["places"]) == sum(map(len, PUBLISHED.values()))


@pytest.mark.parametrize("changes", [{"seeds": 4}, *({"without": arm(w, k)} for w in WAYS for k in KINDS)])
def test_few_seeds_and_missing_arms_decide_nothing_and_fail_nowhere(changes: dict[str, Any]) -> None:
    evidence = planted(**changes)
    assert [row["outcome"] for row in judged(s1.RECIPE, evidence)] == ["reproduced", "undecided"]
    said = caught(s1.RECIPE, evidence)[0]["said"]
    assert ("unnoticed" in said) == (changes == {"without": arm("scratch", "dropout")})


def test_no_mean_cross_entropy_is_too_small() -> None:
    """The flag's bound holds whatever the logits."""
    generator = torch.Generator().manual_seed(0)
    for scale in (0.0, 0.1, 1.0, 3.0, 30.0):
        logits = scale * torch.randn(500, 10, generator=generator, dtype=torch.float64)
        y = torch.randint(10, (500,), generator=generator)
        y[:250] = logits[:250].argmax(1)
        loss = float(example_losses("cross_entropy", logits, y).mean())
        right = float(correct(logits, y).double().mean())
        assert contradictions({"train_loss": Curve.of([loss]), "train_accuracy": Curve.of([right])}) == []
    (said,) = contradictions({"train_loss": Curve.of([0.08]), "train_accuracy": Curve.of([0.75])})
    assert said.startswith("the training loss 0.08 is too small for an accuracy of 0.750")


def test_the_loss_divided_twice_is_named_and_the_mean_loss_is_not() -> None:
    evidence = planted(loss=0.41)
    (row,) = caught(s1.RECIPE, evidence)
    assert (row["name"], row["tool"]) == ("the loss divided by the batch size once too often", "history")
    assert row["said"].startswith("the training loss 0.0016 is too small for an accuracy of")
    assert "the published 0.0046 … 0.0016 from 1.18 to 0.41 (inside)" in row["said"]
    assert "(outside)" in claims.divided_twice(planted(loss=0.8))
    assert claims.divided_twice(planted(loss=256 * 0.42)) == ""


def test_without_data_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIDGELINE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    process = start("run", "fashion-dropout", "--out", "out", cwd=tmp_path)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "run 'ridgeline download fashion-mnist'" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_quick_runs_end_to_end(tmp_path: Path, data_dir: Path) -> None:
    process = start("run", "fashion-dropout", "--out", "out", "--data-dir", os.fspath(data_dir), cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    page = (tmp_path / "out" / "report.html").read_text()
    for claim in s1.RECIPE.claims:
        assert f"{claim.number} {claim.text}" in page
    assert "The test set was watched during training, as published." in page
    assert "is too small for an accuracy of" in page
    assert out.count("not judged") == 1
    evidence = Evidence(Results.open(tmp_path / "out"), CHECKS, "full")
    assert claims.claim_counters(evidence).outcome == "undecided"  # one seed decides nothing
