"""Recipes: named studies shipped with Ridgeline, each a function that returns a Study."""

from collections.abc import Callable

from ridgeline.recipes._digits import digits as digits
from ridgeline.study import Study

RECIPES: dict[str, Callable[[], Study]] = {"digits": digits}
