"""Every recipe: claims with rules, profiles that differ only as they may, and judging by profile."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from ridgeline.recipes import PROFILES, RECIPES
from ridgeline.recipes._recipe import Bug, Claim, Evidence, Judgement, Recipe, caught, judged


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_whole(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name == recipe.study("quick").name == recipe.study("full").name
    assert recipe.summary.endswith((".", "?"))
    numbers = [claim.number for claim in recipe.claims]
    assert len(set(numbers)) == len(numbers)
    for claim in recipe.claims:
        assert claim.number.startswith(f"{recipe.system}-")
        assert len(claim.rule) > 20
    quick, full = (len(recipe.study(profile).trials()) for profile in PROFILES)
    assert quick <= full


def sure(evidence: Evidence) -> Judgement:
    """The rule of this."""
    return Judgement("reproduced", "it is so.")


def test_the_quick_profile_judges_identities_only() -> None:
    claims = [Claim("S9-1", "exact", sure, identity=True), Claim("S9-2", "a difference", sure)]
    study = SimpleNamespace(trials=list)
    recipe = Recipe("x", "y.", lambda profile: cast(Any, study), claims=claims)
    none = pl.DataFrame(schema={"arm": pl.String, "seed": pl.Int64, "status": pl.String})
    results = cast(Any, SimpleNamespace(trials=none))
    by_profile = {p: [r["outcome"] for r in judged(recipe, Evidence(results, {}, p))] for p in PROFILES}
    assert by_profile == {"quick": ["reproduced", "not judged"], "full": ["reproduced", "reproduced"]}


def test_a_bug_that_nothing_names_is_said_to_go_unnoticed() -> None:
    bugs = [Bug("a", "audit", lambda e: "seen"), Bug("b", "audit", lambda e: "", late=True)]
    recipe = Recipe("x", "y.", lambda profile: cast(Any, None), bugs=bugs)
    said = {p: [row["said"] for row in caught(recipe, Evidence(cast(Any, None), {}, p))] for p in PROFILES}
    assert said == {
        "quick": ["seen", "nothing yet: the quick profile is too short to show it"],
        "full": ["seen", "nothing: it went unnoticed"],
    }
