"""Judging a recipe's run: its claims and its source's bugs, written beside the results."""

from typing import Any

from ridgeline.recipes._recipe import Evidence, Profile, Recipe, caught, judged
from ridgeline.report import Results
from ridgeline.store import write_json


def write_claims(recipe: Recipe, results: Results, profile: Profile) -> dict[str, Any] | None:
    """claims.json in the run folder: a row a claim and a row a bug; None where the recipe has no claims."""
    if not recipe.claims:
        return None
    evidence = Evidence(results, recipe.checks(), profile)
    found = {
        "recipe": recipe.name,
        "system": recipe.system,
        "profile": profile,
        "watched": recipe.watched,
        "seeds": int(results.trials["seed"].n_unique()),
        "claims": judged(recipe, evidence),
        "bugs": caught(recipe, evidence),
    }
    write_json(results.path / "claims.json", found)
    return found
