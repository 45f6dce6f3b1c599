"""S1, dropout: an MLP on Fashion-MNIST, from scratch and concise, with the loss divided twice."""

from typing import Any

import torch
from torch import Tensor, nn

from ridgeline.models import build_factory
from ridgeline.noise import Clock, normal, stream_key
from ridgeline.recipes import _fashion_dropout_claims as claims
from ridgeline.recipes import _notes
from ridgeline.recipes._fashion_dropout_claims import BATCH, WAYS, arm
from ridgeline.recipes._fashion_dropout_figures import figures
from ridgeline.recipes._layers import dropout_mlp
from ridgeline.recipes._recipe import Bug, Claim, Profile, Recipe
from ridgeline.study import Study

RATES = [0.2, 0.5]
# The source's SGD divides a rate of 100 by the batch size, on a loss that is a mean already.
_WAY: dict[str, dict[str, Any]] = {
    "scratch": {"train.lr": 100 / BATCH},
    "concise": {"train.lr": 0.5, "model.bias_spread": 0.01},
}
DRAWS = 10**6


def study(profile: Profile) -> Study:
    """The source's updates and records: 5 times 235, its epochs of 60,000 images.

    They are taken from 55,000 images, since 5,000 stay for validation as in every image study here; an epoch
    of ours is shorter, so the updates are counted in place of epochs. Quick: a fifth of them, on 10,000 images.
    """
    full = profile == "full"
    every = 235 if full else 47
    return Study(
        name="fashion-dropout",
        data={"name": "fashion-mnist"} if full else {"name": "fashion-mnist", "n_train": 10_000},
        model={"factory": "ridgeline.recipes._layers:dropout_mlp", "rates": RATES},
        train={"optimizer": "sgd", "lr": 100 / BATCH, "batch_size": BATCH, "steps": 5 * every},
        evaluate={"every": every, "train_examples": 10_000, "sets": {"test_all": "test"}},
        arms={
            arm(way, kind): {**_WAY[way], "model.rates": rates}
            for way in WAYS
            for kind, rates in (("dropout", RATES), ("control", [0.0, 0.0]))
        },
        seeds=10 if full else 1,
    )


def checks() -> dict[str, Any]:
    """What the layers of the study's model do at p = 0 and 1 and in evaluation mode, and their mean."""
    x = normal(stream_key(0, "check"), 10_000).float()
    ones = torch.ones(DRAWS)
    means = {}
    for p in RATES:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            theirs = nn.Dropout(p)(ones)
        error = (p / (1 - p) / DRAWS) ** 0.5  # an element is 1/(1−p) with probability 1−p, else 0
        means[f"{p:g}"] = {
            "standard_error": error,
            "ridgeline": _mean(_layer(p)(ones)),
            "torch": _mean(theirs),
        }
    return {
        "identity": torch.equal(_layer(0.0)(x), x),
        "zeros": not bool(_layer(1.0)(x).any()),
        "off": all(torch.equal(_layer(p).eval()(x), x) for p in (*RATES, 1.0)),
        "means": means,
    }


def _layer(p: float) -> nn.Module:
    """A dropout layer as a trial has it."""
    model = build_factory(dropout_mlp, {"rates": [p, p]}, Clock(seed=0))
    return model.get_submodule("dropout1").train()


def _mean(found: Tensor) -> float:
    return float(found.double().mean())


RECIPE = Recipe(
    name="fashion-dropout",
    system="S1",
    notes=_notes.FASHION_DROPOUT,
    summary="Dropout in an MLP on Fashion-MNIST: does it keep the expectation, and counter overfitting?",
    study=study,
    checks=checks,
    figures=figures,
    watched=True,
    claims=[
        Claim("S1-3", "dropout keeps the expectation", claims.claim_expectation, identity=True),
        Claim(
            "S1-4",
            "dropout counters overfitting",
            claims.claim_counters,
            published="train / test .848 / .813 scratch, .848 / .851 concise",
        ),
    ],
    bugs=[Bug("the loss divided by the batch size once too often", "history", claims.divided_twice)],
)
