"""Every recipe gives the same claims in lanes as on solo: the same outcomes of the same trials."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ridgeline.recipes import RECIPES
from ridgeline.recipes._judged import write_claims
from ridgeline.report import Results
from ridgeline.store import read_json


def run(name: str, engine: str, out: Path) -> tuple[Results, list[tuple[Any, ...]]]:
    """The results of a quick profile, and number, outcome and place of each claim."""
    recipe = RECIPES[name]
    results = recipe.study("quick").run(out, engine=engine)
    found = write_claims(recipe, results, "quick") or {"claims": []}
    return results, [(row["number"], row["outcome"], row["place"]) for row in found["claims"]]


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.claims])
def test_the_same_claims(name: str, tmp_path: Path) -> None:
    solo, alone = run(name, "solo", tmp_path / "solo")
    lanes, together = run(name, "lanes", tmp_path / "lanes")
    assert together == alone
    keys = ["trial_id", "status", "steps", "final_val_loss"]
    both = solo.trials.select(keys).join(lanes.trials.select(keys), on="trial_id", suffix="_lanes")
    assert len(both) == len(solo.trials) == len(lanes.trials)
    assert both.filter(pl.col("status") != pl.col("status_lanes")).is_empty()
    assert both.filter(pl.col("steps") != pl.col("steps_lanes")).is_empty()
    reasons = [p["reason"] for p in read_json(lanes.path / "plan.json")["programs"] if p["engine"] == "solo"]
    assert all("own" in why or why == "a single trial has nothing to share" for why in reasons)
