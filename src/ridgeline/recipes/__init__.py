"""Recipes: named studies shipped with Ridgeline, with the published claims that their runs decide."""

from ridgeline.recipes import _digits, _line_adam
from ridgeline.recipes._judged import write_claims as write_claims
from ridgeline.recipes._recipe import PROFILES as PROFILES
from ridgeline.recipes._recipe import Profile as Profile
from ridgeline.recipes._recipe import Recipe as Recipe

RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in (_digits.RECIPE, _line_adam.RECIPE)}
