"""S2: the studies are the page's, and its claims decide planted results rightly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ridgeline import regularize
from ridgeline.data import SOURCES, draw
from ridgeline.noise import Clock
from ridgeline.recipes import RECIPES
from ridgeline.recipes import _mnist_wide as s2
from ridgeline.recipes import _mnist_wide_claims as claims
from ridgeline.recipes import _mnist_wide_figures as figures
from ridgeline.recipes import _mnist_wide_stored as stored
from ridgeline.recipes._evidence import Floats
from ridgeline.recipes._layers import wide
from ridgeline.recipes._mnist_wide_stored import L2, NONE, RATES, STRENGTHS, arm
from ridgeline.recipes._recipe import Evidence, Profile, caught
from ridgeline.study._programs import build_model, rules_of
from ridgeline.study._trials import Trial
from tests.end_to_end.commands import PATIENCE_S, start

SHAPES = [(1500, 784), (1000, 1500), (500, 1000), (10, 500)]
CHECKS = 300
LABELS = [arm(lr, strength) for strength in STRENGTHS for lr in RATES]

# --- the study -----------------------------------------------------------------------------------------


def part_a(profile: Profile = "full") -> list[Trial]:
    return s2.learning_rates(profile).trials()


def part_b(profile: Profile = "full") -> list[Trial]:
    return s2.strengths(profile).trials()


def test_the_studies_are_the_pages() -> None:
    settings = {(t.arm, t.config.train.lr, t.config.regularization[0].strength) for t in part_a()}
    assert settings == {(arm(lr, s), lr, s) for lr in (1e-4, 5e-3, 5e-2, 5e-5) for s in (0.0, 5e-4)}
    assert {(t.arm, t.config.train.lr, t.config.regularization[0].strength) for t in part_b()} == {
        (NONE, 5e-3, 0.0),
        (L2, 5e-3, 5e-4),
    }
    assert (len(part_a()), len(part_b())) == (8 * 5, 2 * 10)
    for trial in part_a() + part_b():
        config = trial.config
        (entry,) = config.regularization
        assert (entry.penalty, entry.match, entry.mode, entry.reduction) == ("l2", "*", "loss", None)
        train = config.train
        assert (train.optimizer, train.batch_size, train.steps, train.loss) == ("adam", 64, 30_000, None)
        assert (config.data, config.model) == (
            {"name": "mnist"},
            {"factory": "ridgeline.recipes._layers:wide"},
        )
        assert (config.evaluate.every, config.evaluate.sets) == (100, {"trained": "batch"})
        assert config.evaluate.train_examples == 500  # of one image, a verdict would read noise


def test_part_b_is_two_arms_of_part_a() -> None:
    by_arm = {(t.arm, t.seed): t.trial_id for t in part_a()}
    for trial in part_b():
        same = by_arm.get((arm(5e-3, 5e-4 if trial.arm == L2 else 0.0), trial.seed))
        assert same == (trial.trial_id if trial.seed < 5 else None)


def test_all_weights_and_biases_start_uniform() -> None:
    model = build_model(part_b()[0].config, Clock(0), cast(Any, None))
    assert [tuple(p.shape) for p in model.parameters() if p.ndim == 2] == SHAPES
    assert sum(p.numel() for p in model.parameters()) == 3_184_010
    for parameter in model.parameters():
        values = parameter.detach().double().flatten().sort().values
        assert float(values[0]) >= 0
        assert float(values[-1]) < 1
        # Kolmogorov's distance to the uniform law, below its 0.999 quantile
        expected = torch.linspace(0, 1, len(values), dtype=torch.float64)
        assert float((values - expected).abs().max()) < 1.95 / len(values) ** 0.5 + 1 / len(values)


def test_every_layer_but_the_last_has_relu() -> None:
    model = wide(narrow=50)
    x = torch.randn(3, 1, 28, 28)
    y = x.flatten(1)
    layers = [m for m in model if isinstance(m, torch.nn.Linear)]  # type: ignore[attr-defined]  # a Sequential
    for layer in layers[:-1]:
        y = torch.relu(y @ layer.weight.T + layer.bias)
    assert torch.allclose(model(x), y @ layers[-1].weight.T + layers[-1].bias)


def test_the_penalty_is_on_all_variables() -> None:
    model = wide(narrow=50)
    trial = next(t for t in part_b() if t.arm == L2)
    reg = regularize(model, rules_of(trial.config))
    assert all(row["penalised"] for row in reg.audit().rows)
    squares = sum(float(p.detach().double().square().sum()) for p in model.parameters())
    assert float(reg.penalty().detach()) == pytest.approx(0.5 * 5e-4 * squares, rel=1e-6)


# --- planted results -----------------------------------------------------------------------------------

Planted = Callable[[int], tuple[Floats, Floats]]  # seed -> validation accuracy and training loss by check


def steady(level: float) -> Planted:
    return lambda seed: (np.full(CHECKS, level + 1e-4 * seed), np.geomspace(2, 0.1, CHECKS))


def falling(fall: float = 0.05, loss_ends: float = 0.05, hold: int = 150) -> Planted:
    """Rises within 20 checks, holds at .955, then falls; the training loss goes on to `loss_ends`."""

    def runs(seed: int) -> tuple[Floats, Floats]:
        rest = CHECKS - 20 - hold
        accuracy = np.concatenate(
            [np.linspace(0.1, 0.9, 20), np.full(hold, 0.955), np.full(rest, 0.955 - fall - 1e-4 * seed)]
        )
        loss = np.concatenate(
            [np.geomspace(1e6, 0.2, 20), np.full(hold, 0.2), np.linspace(0.2, loss_ends, rest)]
        )
        return accuracy, loss

    return runs


def planted(
    arms: Mapping[str, Sequence[Planted]],
    penalty: float = 0.5,
    path: Path = Path("nowhere"),
    tested: dict[str, float] | None = None,
    diverged: Sequence[tuple[str, int]] = (),
) -> Evidence:
    """Stored results with a planted course an arm and seed; 200 images a set, right at the last accuracy."""
    trials, curves, predictions = [], [], []
    for label, courses in arms.items():
        for seed, course in enumerate(courses):
            name, (accuracy, loss) = f"{label}-{seed}", course(seed)
            failed = (label, seed) in diverged
            status = "diverged" if failed else "done"
            trials.append({"trial_id": name, "arm": label, "seed": seed, "status": status})
            step = 100 * np.arange(CHECKS + 1)
            column = {"val_accuracy": accuracy, "trained_loss": loss, "val_loss": loss + 0.1}
            shown = {key: np.concatenate([[9.9], values]) for key, values in column.items()}  # the start
            inside = np.full(CHECKS + 1, 0.0 if label == NONE or label.endswith("λ = 0") else penalty)
            frame = pl.DataFrame({"step": step, **shown, "penalty": inside})
            if failed:
                frame = frame[:100].with_columns(
                    pl.when(pl.col("step") < 9_900).then(pl.col("trained_loss", "val_loss"))
                )
            curves.append(frame.select(pl.lit(name).alias("trial_id"), pl.all()))
            ends = {"val": accuracy[-1], "test": (tested or {}).get(label, accuracy[-1]) + 0.01 * (seed % 3)}
            predictions += [
                {"trial_id": name, "set": part, "when": "last", "example": e, "correct": e < 200 * end}
                for part, end in ends.items()
                for e in range(0 if failed else 200)
            ]
    found = SimpleNamespace(
        trials=pl.DataFrame(trials),
        curves=pl.concat(curves),
        predictions=pl.DataFrame(predictions),
        path=path,
    )
    return Evidence(cast(Any, found), {}, "full")


def rates(course: Planted, others: Planted, seeds: int = 5, shown: int = 5) -> Evidence:
    """Part A with a course at lr 5e-3 with λ in `shown` seeds, another one elsewhere."""
    arms = {label: [others] * seeds for label in LABELS}
    arms[arm(5e-3, 5e-4)] = [course] * shown + [others] * (seeds - shown)
    return planted(arms)


# --- claims --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("course", "shown"),
    [
        (falling(), True),
        (steady(0.96), False),
        (falling(fall=0.01), False),  # falls too little
        (falling(loss_ends=0.9), False),  # the training loss rises with it
        (falling(hold=10), False),  # never holds
        (falling(hold=22), True),
    ],
)
def test_the_pattern_is_seen_where_it_is(course: Planted, shown: bool) -> None:
    assert claims.rises_and_falls(*course(0)) == shown


def test_a_hold_is_unbroken() -> None:
    """Twelve stretches of 8 checks above .93 hold nothing."""
    accuracy, loss = falling()(0)
    accuracy[20:170] = np.where(np.arange(150) % 16 < 8, 0.955, 0.90)
    assert not claims.rises_and_falls(accuracy, loss)


def test_one_bad_check_does_not_break_a_hold() -> None:
    accuracy, loss = falling(hold=30)(0)
    accuracy[35] = 0.5
    assert claims.rises_and_falls(accuracy, loss)


@pytest.mark.parametrize(
    ("shown", "seeds", "outcome"),
    [
        (5, 5, "reproduced"),
        (3, 5, "reproduced"),
        (2, 5, "undecided"),
        (0, 5, "refuted"),
        (4, 4, "undecided"),
    ],
)
def test_rise_and_fall_decides_by_seeds(shown: int, seeds: int, outcome: str) -> None:
    found = claims.claim_rise_and_fall(rates(falling(), steady(0.96), seeds, shown))
    assert found.outcome == outcome
    counted = found.numbers[arm(5e-3, 5e-4)]
    assert (counted["seeds"], counted["data loss"]["count"]) == (seeds, shown)
    assert f"{shown} of {seeds}" in found.sentence


def test_a_penalty_that_grows_hides_the_falling_loss() -> None:
    """The two losses are judged apart: here only the data loss falls."""
    evidence = rates(falling(), steady(0.96))
    curves = evidence.results.curves.with_columns(penalty=pl.col("step") / 1e4)
    cast(Any, evidence.results).curves = curves
    counted = claims.claim_rise_and_fall(evidence).numbers[arm(5e-3, 5e-4)]
    assert (counted["data loss"]["answer"], counted["with the penalty"]["answer"]) == ("yes", "no")


def test_where_each_ends_orders_only_what_differs() -> None:
    levels = dict(zip(RATES, (0.98, 0.60, 0.10, 0.98), strict=True))
    arms = {arm(lr, s): [steady(levels[lr])] * 5 for lr in RATES for s in STRENGTHS}
    found = claims.claim_where_each_ends(planted(arms))
    assert found.outcome == "not judged"  # nothing was published
    assert found.numbers[arm(5e-3, 0.0)]["mean"] == pytest.approx(0.6002)
    for order in ("0.0001 above 0.005", "0.005 above 0.05", "5e-05 above 0.05"):
        assert order in found.sentence
    assert "0.0001 above 5e-05" not in found.sentence
    assert "5e-05 above 0.0001" not in found.sentence
    few = claims.claim_where_each_ends(planted({label: runs[:4] for label, runs in arms.items()}))
    assert few.outcome == "undecided"
    assert "only 4 seeds" in few.sentence


def test_an_arm_that_diverged_has_no_mean_and_is_counted() -> None:
    label = arm(5e-2, 5e-4)
    evidence = planted({one: [falling()] * 5 for one in LABELS}, diverged=[(label, 1)])
    ends = claims.claim_where_each_ends(evidence)
    assert ends.numbers[label] == {"mean": None, "diverged": 1}
    assert "lr 0.05 has no mean (1 diverged)" in ends.sentence
    assert ends.outcome == "not judged"  # a diverged seed is a seed
    other = claims.claim_what_else(evidence).numbers
    assert (other[label]["diverged"], other[LABELS[0]]["diverged"]) == (1, 0)
    assert claims.claim_rise_and_fall(evidence).numbers[label]["data loss"]["count"] == 4


def test_what_else_counts_steps_and_ripple() -> None:
    def ripples(seed: int) -> tuple[Floats, Floats]:
        accuracy, loss = steady(0.95)(0)
        accuracy[:30] = 0.2
        return accuracy + 0.01 * (np.arange(CHECKS) % 2), loss

    evidence = planted({label: [steady(0.5)] * 5 for label in LABELS} | {LABELS[0]: [ripples] * 5})
    found = claims.claim_what_else(evidence)
    assert found.numbers[LABELS[0]]["steps to .9"] == 3_100
    assert found.numbers[LABELS[0]]["ripple"] == pytest.approx(0.01 / 2**0.5)
    assert found.numbers[LABELS[1]]["steps to .9"] is None
    assert "never at .9" in found.sentence


def pair(l2: float, none: float, seeds: int = 10, **given: Any) -> Evidence:
    return planted({NONE: [steady(none)] * seeds, L2: [steady(l2)] * seeds}, **given)


@pytest.mark.parametrize(
    ("l2", "none", "outcome"),
    [(0.97, 0.87, "reproduced"), (0.87, 0.97, "refuted"), (0.9201, 0.9149, "undecided")],
)
def test_l2_improves_decides_by_its_sign(l2: float, none: float, outcome: str) -> None:
    found = claims.claim_l2_improves(pair(l2, none))
    assert found.outcome == outcome
    assert found.numbers["mean"] == pytest.approx(l2 - none)
    assert "over 10 seeds" in found.sentence


def test_the_published_accuracies_are_placed_one_by_one() -> None:
    found = claims.claim_l2_improves(pair(0.97, 0.87, tested={NONE: 0.87, L2: 0.5}))
    assert found.numbers["places"] == {NONE: "inside", L2: "outside"}
    assert found.place == "outside"
    both = claims.claim_l2_improves(pair(0.97, 0.87, tested={NONE: 0.87, L2: 0.91}))
    assert both.place == "inside"
    assert both.ours == "0.879 / 0.919"


def test_an_arm_that_lost_a_seed_decides_nothing() -> None:
    arms = {NONE: [falling()] * 10, L2: [steady(0.97)] * 10}
    assert claims.claim_l2_improves(planted(arms)).outcome == "reproduced"
    found = claims.claim_l2_improves(planted(arms, diverged=[(NONE, 4)]))
    assert found.outcome == "undecided"
    assert "over 9 seeds, 1 diverged" in found.sentence


def test_one_accuracy_outside_is_outside_where_the_other_has_no_place() -> None:
    arms = {NONE: [steady(0.87)] * 10, L2: [steady(0.97)] * 2}
    found = claims.claim_l2_improves(planted(arms, tested={NONE: 0.5, L2: 0.91}))
    assert found.numbers["places"] == {NONE: "outside", L2: "–"}
    assert found.place == "outside"


def test_few_or_no_pairs_decide_nothing() -> None:
    assert claims.claim_l2_improves(pair(0.97, 0.87, seeds=4)).outcome == "undecided"
    lonely = planted({NONE: [steady(0.9)] * 5})
    assert claims.claim_l2_improves(lonely).outcome == "undecided"
    assert claims.claim_sparse(lonely).outcome == "undecided"


def weights(path: Path, zeros: dict[str, float], blank: Tensor) -> None:
    """A file of matrices 20 × 784, 40 × 20, … with the first share of their entries 0, W1's of unseen pixels."""
    path.parent.mkdir(exist_ok=True)
    made: dict[str, Tensor] = {}
    for number, shape in enumerate([(20, 784), (40, 20), (30, 40), (10, 30)], start=1):
        w = torch.rand(shape) + 0.1
        w.view(-1)[: round(zeros.get(f"W{number}", 0.0) * w.numel())] = 0.0
        made |= {f"layer{number}.weight": w, f"layer{number}.bias": torch.zeros(shape[0])}
    made["layer1.weight"][:, blank] = zeros.get("blank", 0.0)
    save_file(made, path)


@pytest.mark.parametrize(
    ("zeros", "outcome"),
    [
        ({"W2": 0.05, "blank": 0.5}, "reproduced"),
        ({"blank": 0.5}, "refuted"),
        ({"W3": 0.005, "blank": 0.5}, "undecided"),
    ],
)
def test_sparse_means_exact_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zeros: dict[str, float], outcome: str
) -> None:
    blank = torch.arange(784) < 100
    monkeypatch.setattr(claims, "blank_pixels", lambda data_dir: blank)
    evidence = pair(0.9, 0.9, seeds=5, path=tmp_path)
    for seed in range(5):
        weights(tmp_path / "weights" / f"{NONE}-{seed}.safetensors", {}, torch.zeros(784, dtype=torch.bool))
        weights(tmp_path / "weights" / f"{L2}-{seed}.safetensors", zeros, blank)
    found = claims.claim_sparse(evidence)
    assert found.outcome == outcome
    assert "100 of 784 pixels are blank" in found.sentence
    share = round(zeros.get("W2", 0.0) * 800) / 800
    assert found.numbers["W2"]["zero"] == pytest.approx(share)
    assert found.numbers["W2"]["small, L2 − none"]["mean"] == pytest.approx(share)


@pytest.mark.parametrize("with_images", [True, False])
def test_a_matrix_is_all_of_its_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_images: bool
) -> None:
    """Whether the training images are at hand, to take W1's blank pixels apart, does not change the outcome."""
    blank = torch.arange(784) < 100
    monkeypatch.setattr(claims, "blank_pixels", lambda data_dir: blank if with_images else None)
    evidence = pair(0.9, 0.9, seeds=5, path=tmp_path)
    for seed in range(5):
        place = tmp_path / "weights" / f"{L2}-{seed}.safetensors"
        weights(place, {"blank": 0.0}, blank)  # an eighth of W1 is 0
        weights(tmp_path / "weights" / f"{NONE}-{seed}.safetensors", {"blank": 0.5}, blank)
    found = claims.claim_sparse(evidence)
    assert (found.outcome, found.ours) == ("reproduced", "13 to 13 % exact zeros")
    assert ("without which it is refuted" in found.sentence) == with_images
    assert found.numbers["W1"]["zero"] == (0.0 if with_images else pytest.approx(100 / 784))


def test_blank_pixels_stand_apart(tmp_path: Path) -> None:
    blank = torch.arange(784) < 98  # an eighth
    weights(tmp_path / "weights" / "a.safetensors", {"blank": 1e-6, "W4": 0.1}, blank)
    apart = stored.sparsity(tmp_path / "weights" / "a.safetensors", blank)
    assert apart[stored.BLANK] == {"zero": 0.0, "small": 1.0}
    assert apart["W1"] == {"zero": 0.0, "small": 0.0}
    assert apart["W4"] == pytest.approx({"zero": 0.1, "small": 0.1})
    together = stored.sparsity(tmp_path / "weights" / "a.safetensors", None)
    assert together["W1"] == pytest.approx({"zero": 0.0, "small": 0.125})
    assert stored.BLANK not in together


def test_the_blank_pixels_are_those_of_the_training_images(data_dir: Path) -> None:
    blank = stored.blank_pixels(data_dir)
    assert blank is not None
    images = draw(SOURCES["mnist"](data_dir), 0).train.batch(torch.arange(55_000))[0].flatten(1)
    assert bool((images[:, blank] == 0).all())
    assert bool(images[:, ~blank].any(0).all())


# --- the source's bug, and what it shows -----------------------------------------------------------------


@pytest.mark.parametrize("penalty", [70.0, 0.0])
def test_the_penalty_inside_is_named_where_it_is(penalty: float) -> None:
    evidence = pair(0.9, 0.9, penalty=penalty)
    results = cast(Any, evidence.results)
    results.curves = results.curves.with_columns(pl.col("penalty") * 0.99 ** (pl.col("step") / 100))
    said = caught(s2.L2_RECIPE, evidence)[0]["said"]
    assert ("moves with the penalty one for one" in said) == bool(penalty)
    assert ("went unnoticed" in said) == (not penalty)


def test_an_image_spans_black_to_white_with_inputs_downwards() -> None:
    w = np.array([[1.0, 3.0, 5.0], [2.0, 2.0, 1.0]])  # two outputs, three inputs
    assert figures.picture(w).tolist() == [[0.0, 0.25], [0.5, 0.25], [1.0, 0.0]]
    assert figures.picture(np.random.default_rng(0).random((1500, 784))).shape == (196, 250)
    assert figures.picture(np.zeros((2, 2))).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_figures_are_drawn_of_what_there_is(tmp_path: Path) -> None:
    """Diverged seeds, arms without a seed and missing images are no reason to fail."""
    evidence = planted({LABELS[0]: [falling()] * 3}, diverged=[(LABELS[0], 0), (LABELS[0], 1)], path=tmp_path)
    weights(tmp_path / "weights" / f"{LABELS[0]}-2.safetensors", {}, torch.zeros(784, dtype=torch.bool))
    names = [name for name, *_ in figures.drawn_of_rates(evidence)]
    assert names == [
        "published-curves",
        "published-curves-late",
        "published-weights",
        "published-endings",
    ]


@pytest.mark.parametrize("name", ["mnist-wide-lr", "mnist-wide-l2"])
def test_a_quick_run_judges_nothing_and_shows_everything(name: str, tmp_path: Path, data_dir: Path) -> None:
    process = start("run", name, "--out", "out", "--data-dir", str(data_dir), cwd=tmp_path)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, "")
    page = (tmp_path / "out" / "report.html").read_text()
    assert len(page) < 3_000_000
    for claim in RECIPES[name].claims:
        assert f"{claim.number} {claim.text}" in page
    assert page.count("<td>not judged</td>") == len(RECIPES[name].claims)
    assert "the penalty inside the validation loss" in page
    assert "it went unnoticed" not in page
    for figure in ("curves", "curves-late", "weights", "endings"):
        assert f'<figure id="published-{figure}">' in page


def test_without_data_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDGELINE_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    process = start("run", "mnist-wide-l2", cwd=tmp_path)
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2
    assert "run 'ridgeline download mnist'" in err
    assert not (tmp_path / "runs").exists()
