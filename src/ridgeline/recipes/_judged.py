"""Judging a recipe's run: its claims and its source's bugs, written beside the results."""

from pathlib import Path
from typing import Any

from ridgeline.recipes._recipe import Evidence, Profile, Recipe, caught, judged
from ridgeline.report import Results
from ridgeline.store import write_atomically, write_json


def write_claims(
    recipe: Recipe, results: Results, profile: Profile, data_dir: Path | None = None
) -> dict[str, Any] | None:
    """claims.json in the run folder: a row a claim and a row a bug; None where the recipe has no claims."""
    if not recipe.claims:
        return None
    evidence = Evidence(results, recipe.checks(), profile, data_dir)
    drawn = recipe.figures(evidence)
    from ridgeline.report.figures import as_png, as_svg  # loads matplotlib, which only a report needs

    (results.path / "figures").mkdir(exist_ok=True)
    for name, figure, _ in drawn:
        write_atomically(results.path / "figures" / f"{name}.svg", as_svg(figure).encode())
        write_atomically(results.path / "figures" / f"{name}.png", as_png(figure))
    found = {
        "recipe": recipe.name,
        "system": recipe.system,
        "profile": profile,
        "watched": recipe.watched,
        "seeds": int(results.trials["seed"].n_unique()),
        "claims": judged(recipe, evidence),
        "bugs": caught(recipe, evidence),
        "figures": [{"name": name, "caption": caption} for name, _, caption in drawn],
    }
    write_json(results.path / "claims.json", found)
    return found
