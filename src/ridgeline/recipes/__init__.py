"""Recipes: named studies shipped with Ridgeline, with the published claims that their runs decide."""

from ridgeline.recipes import (
    _digits,
    _fashion_dropout,
    _line_adam,
    _line_weight_decay,
    _mnist_conv_l2,
    _mnist_wide,
    _penalty_object,
)
from ridgeline.recipes._judged import write_claims as write_claims
from ridgeline.recipes._recipe import PROFILES as PROFILES
from ridgeline.recipes._recipe import Profile as Profile
from ridgeline.recipes._recipe import Recipe as Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        _digits.RECIPE,
        _mnist_conv_l2.RECIPE,
        _mnist_wide.RATES_RECIPE,
        _mnist_wide.L2_RECIPE,
        _line_weight_decay.RECIPE,
        _fashion_dropout.RECIPE,
        _penalty_object.RECIPE,
        _line_adam.RECIPE,
    )
}
