"""S2: learning rate and L2 on a wide MLP whose weights and biases all start uniform in (0, 1).

Part B's two arms are the same programs as two arms of part A; their run folders are two, since more seeds
are asked of part B.
"""

from typing import Any

from ridgeline.recipes import _mnist_wide_claims as claims
from ridgeline.recipes import _mnist_wide_figures as figures
from ridgeline.recipes import _notes
from ridgeline.recipes._evidence import penalty_seen_inside
from ridgeline.recipes._mnist_wide_stored import L2, NONE, RATES, STRENGTHS, arm
from ridgeline.recipes._recipe import Bug, Claim, Profile, Recipe
from ridgeline.study import Study


def learning_rates(profile: Profile) -> Study:
    """Part A: four learning rates, each with λ = 5e-4, as the listed code always adds it, and without."""
    arms = {
        arm(lr, strength): {"train.lr": lr, "regularization.strength": strength}
        for strength in STRENGTHS
        for lr in RATES
    }
    return _study("mnist-wide-lr", profile, arms, 5)


def strengths(profile: Profile) -> Study:
    """Part B: lr 5e-3 without and with L2."""
    arms = {NONE: {"regularization.strength": 0.0}, L2: {"regularization.strength": 5e-4}}
    return _study("mnist-wide-l2", profile, arms, 10)


def _study(name: str, profile: Profile, arms: dict[str, dict[str, float]], seeds: int) -> Study:
    quick = profile == "quick"
    data: dict[str, Any] = {"name": "mnist"}
    model: dict[str, Any] = {"factory": "ridgeline.recipes._layers:wide"}
    return Study(
        name=name,
        data={**data, "n_train": 2_000} if quick else data,
        model={**model, "narrow": 5} if quick else model,
        train={"optimizer": "adam", "lr": 5e-3, "batch_size": 64, "steps": 60 if quick else 30_000},
        # ½λ‖·‖² on all variables, biases included
        regularization={"penalty": "l2", "strength": 0.0, "match": "*"},
        # the source records the batch just trained on and the validation set; verdicts read a training curve too
        evaluate={"every": 10 if quick else 100, "train_examples": 500, "sets": {"trained": "batch"}},
        arms=arms,
        seeds=1 if quick else seeds,
    )


def _bug(label: str) -> Bug:
    return Bug(
        "the penalty inside the validation loss",
        "history",
        lambda evidence: penalty_seen_inside(evidence.results, label, "val_loss"),
        late=True,
    )


RATES_RECIPE = Recipe(
    name="mnist-wide-lr",
    system="S2",
    notes=_notes.WIDE_RATES,
    summary="A wide MLP on MNIST at four learning rates: does one rise, hold and fall, and where does each end?",
    study=learning_rates,
    figures=figures.drawn_of_rates,
    claims=[
        Claim(
            "S2-1",
            "an lr rises, holds near .95, then falls while the loss keeps falling",
            claims.claim_rise_and_fall,
            counts_diverged=True,
        ),
        Claim("S2-2", "where does each lr end?", claims.claim_where_each_ends, counts_diverged=True),
        Claim("S2-3", "what else?", claims.claim_what_else, counts_diverged=True),
    ],
    bugs=[_bug(arm(5e-3, STRENGTHS[0]))],
)

L2_RECIPE = Recipe(
    name="mnist-wide-l2",
    system="S2",
    notes=_notes.WIDE_L2,
    summary="A wide MLP on MNIST without and with L2 on all variables: does it train better, and sparsely?",
    study=strengths,
    figures=figures.drawn_of_strengths,
    claims=[
        Claim(
            "S2-4", "L2 improved training", claims.claim_l2_improves, "test .88 / .92", counts_diverged=True
        ),
        Claim("S2-5", "the matrices became sparse", claims.claim_sparse),
    ],
    bugs=[_bug(L2)],
)
