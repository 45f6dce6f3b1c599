"""S0: L2 against overfitting on MNIST, with the penalty as published, which reaches no weight."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import ridgeline
from ridgeline.recipes import _mnist_conv_l2_claims as gaps
from ridgeline.recipes import _mnist_conv_l2_exact as exact
from ridgeline.recipes import _mnist_conv_l2_grid as grid
from ridgeline.recipes import _notes
from ridgeline.recipes._mnist_conv_l2_claims import DEAD, LAST, MODELS, RECORDS, STRENGTHS, arm
from ridgeline.recipes._mnist_conv_l2_figures import figures
from ridgeline.recipes._recipe import Bug, Claim, Profile, Recipe
from ridgeline.study import Study

_HERE = "ridgeline.recipes._mnist_conv_l2"
_FACTORY = {
    "one-conv": "ridgeline.recipes._layers:one_conv",
    "two-conv": "ridgeline.recipes._layers:two_conv",
}
OUR_STRENGTH = STRENGTHS[0]


def on_the_draw(model: nn.Module, strength: float) -> Callable[[], Tensor]:
    """The penalty as published: of the draw that initialises the last layer's weights, anew at each call."""
    shape, l2 = model.get_parameter(LAST).shape, ridgeline.L2(strength)

    def term() -> Tensor:
        draw = nn.init.trunc_normal_(torch.empty(shape), 0.0, 0.1, -0.2, 0.2)
        return l2.value(draw.requires_grad_())

    return term


def _penalty(name: str, match: str = LAST, mode: str = "loss") -> dict[str, Any]:
    return {"penalty": name, "strength": OUR_STRENGTH, "match": match, "mode": mode}


_KINDS: dict[str, dict[str, Any]] = {
    "none": {},
    "l2": {"regularization": _penalty("l2")},
    DEAD: {"regularization": {"factory": f"{_HERE}:on_the_draw", "strength": OUR_STRENGTH}},
    "l2-all": {"regularization": [_penalty("l2", match="hidden.weight"), _penalty("l2")]},
    "l1": {"regularization": _penalty("l1")},
    "l1-proximal": {"regularization": _penalty("l1", mode="proximal")},
    "dropout": {"model.dropout": 0.5},
}


_ON_BOTH = ("none", "l2", "dropout")


def arms(profile: Profile) -> dict[str, dict[str, Any]]:
    """Every kind on one-conv, what the source ran also on the control; a grid of strengths on one-conv, and
    pixels divided by 255 twice.
    """
    if profile == "quick":
        return {arm("one-conv", kind): _KINDS[kind] for kind in ("none", "l2", DEAD)}
    found = {
        arm(model, kind): {"model.factory": _FACTORY[model], **settings}
        for model in MODELS
        for kind, settings in _KINDS.items()
        if model == "one-conv" or kind in _ON_BOTH
    }
    for kind in ("l2", "l1", "l1-proximal"):
        for s in STRENGTHS[1:]:
            found[arm("one-conv", kind, s)] = {
                "regularization": {**_KINDS[kind]["regularization"], "strength": s}
            }
    found[arm("one-conv", "none scaled-twice")] = {"model.divide_by": 255.0}
    return found


def study(profile: Profile) -> Study:
    """Quick: an eighth of the widths, 2,000 images, 21 steps; what is exact is so there too."""
    full = profile == "full"
    return Study(
        name="mnist-conv-l2",
        data={"name": "mnist"} if full else {"name": "mnist", "n_train": 2_000},
        model={"factory": _FACTORY["one-conv"]} if full else {"factory": _FACTORY["one-conv"], "narrow": 8},
        train={"optimizer": "adam", "lr": 1e-4, "batch_size": 100, "steps": 1_000 if full else 21},
        evaluate={
            "at": list(RECORDS) if full else [1, 11],
            "train_examples": 500,
            "sets": {"train_1000": "epoch[:1000]", "test_1000": "test[:1000]"},
        },
        arms=arms(profile),
        seeds=10 if full else 1,
    )


def checks() -> dict[str, Any]:
    """What is exact, on narrow copies of one-conv and made images."""
    return {
        "units": exact.units(),
        "ratio": exact.ratio(),
        "acting": _acting(),
        "formulas": exact.formulas(OUR_STRENGTH),
    }


def _acting() -> dict[str, str]:
    """What assert_acting says of the penalty as published and of L2; empty where nothing."""
    model, said = exact.start(), {"l2": "", DEAD: ""}
    reg = ridgeline.regularize(model, [ridgeline.Rule(LAST, ridgeline.L2(OUR_STRENGTH))])
    for name, term in (("l2", reg.penalty), (DEAD, on_the_draw(model, OUR_STRENGTH))):
        try:
            ridgeline.assert_acting(term, model)
        except AssertionError as error:
            said[name] = str(error)
    return said


RECIPE = Recipe(
    name="mnist-conv-l2",
    system="S0",
    notes=_notes.CONV_L2,
    summary="L2, L1 and dropout against overfitting on MNIST, beside a penalty that reaches no weight.",
    study=study,
    checks=checks,
    figures=figures,
    watched=True,
    claims=[
        Claim("S0-units", "L1 and L2 of a small matrix", exact.claim_units, "5.5 / 9.75", identity=True),
        Claim(
            "S0-1a",
            "train accuracy exceeds test accuracy at every check",
            gaps.claim_train_exceeds_test,
            "9 of 10; gap .0082",
        ),
        Claim("S0-1b", "there is overfitting", gaps.claim_overfits, ".962 / .956"),
        Claim("S0-2", "L2 shrinks the gap", gaps.claim_l2_shrinks_the_gap, ".947 / .953"),
        Claim("S0-3", "dropout shrinks the gap", gaps.claim_dropout_shrinks_the_gap, ".944 / .947"),
        Claim("S0-4", "two-conv: little overfitting", gaps.claim_two_conv_overfits_little),
        Claim(
            "S0-5",
            "data loss × 10 with λ fixed acts as λ/10",
            exact.claim_only_the_ratio_counts,
            identity=True,
        ),
        Claim("S0-6", "too large a λ costs fitting; larger λ, less overfitting", grid.claim_too_strong),
        Claim("S0-7a", "gradient L1 is sparse, L2 is not", grid.claim_gradient_l1_is_sparse),
        Claim("S0-7b", "proximal L1 is sparse, L2 is not", grid.claim_proximal_l1_is_sparse),
        Claim("S0-7c", "gradient L1 loses capacity", grid.claim_gradient_l1_loses_capacity),
        Claim("S0-7d", "proximal L1 loses capacity", grid.claim_proximal_l1_loses_capacity),
        Claim("S0-8", "the dead penalty changes nothing", exact.claim_dead_penalty, identity=True),
        Claim(
            "S0-9",
            "collecting the losses and writing one formula are the same; the ½ is absorbed by λ",
            exact.claim_two_ways_of_writing,
            identity=True,
        ),
    ],
    bugs=[
        Bug(
            "the penalty on the draw that initialises the weights",
            "audit, assert_acting",
            exact.dead_penalty,
        )
    ],
)
