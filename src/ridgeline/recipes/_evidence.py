"""Reading stored results for claims: paired differences by seed and example, places, curves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ridgeline.recipes._recipe import Place
from ridgeline.report import Results
from ridgeline.statistics import Interval, interval, prediction_interval

Floats = npt.NDArray[np.float64]


def by_seed(results: Results, arm: str, value: pl.Expr) -> dict[int, float]:
    """An expression over the trials of an arm, by seed; diverged seeds are left out."""
    rows = results.trials.filter((pl.col("arm") == arm) & (pl.col("status") == "done"))
    found = rows.select("seed", value.cast(pl.Float64).alias("value"))
    return dict(zip(found["seed"].to_list(), found["value"].to_list(), strict=True))


def curve(results: Results, arm: str, *columns: str) -> pl.DataFrame:
    """seed, step and the columns of an arm's curves."""
    rows = results.trials.filter(pl.col("arm") == arm).select("trial_id", "seed")
    return results.curves.join(rows, on="trial_id").select("seed", "step", *columns).sort("seed", "step")


def examples(results: Results, arm: str, name: str, of: str, when: str = "last") -> pl.DataFrame:
    """seed, example, value: `of` (loss or correct) of each example of a set at the last or best step."""
    rows = results.trials.filter((pl.col("arm") == arm) & (pl.col("status") == "done"))
    chosen = results.predictions.filter((pl.col("set") == name) & (pl.col("when") == when))
    found = chosen.join(rows.select("trial_id", "seed"), on="trial_id")
    return found.select("seed", "example", pl.col(of).cast(pl.Float64).alias("value"))


def paired(a: dict[int, float], b: dict[int, float], f: Callable[[float, float], float]) -> list[float]:
    """f(a, b) of each seed that both have."""
    return [f(a[seed], b[seed]) for seed in a if seed in b]


def difference(results: Results, arm: str, baseline: str, name: str, of: str) -> Interval | None:
    """arm − baseline of a set's mean loss or accuracy, with the sampling of its examples; None without a pair."""
    ours, theirs = examples(results, arm, name, of), examples(results, baseline, name, of)
    both = ours.join(theirs, on=["seed", "example"], suffix="_b")
    if both.is_empty():
        return None
    deltas = both.with_columns(value=pl.col("value") - pl.col("value_b"))
    seeds = deltas.group_by("seed").agg(pl.col("value").mean()).sort("seed")["value"]
    means = deltas.group_by("example").agg(pl.col("value").mean()).sort("example")["value"]
    return interval(seeds.to_list(), means.to_numpy())


def place_of(published: float, ours: Sequence[float]) -> Place:
    """Whether a published figure lies where one of our runs would fall with 95 %."""
    found = prediction_interval(ours)
    if found is None:
        return "–"
    return "inside" if found[0] <= published <= found[1] else "outside"


def span(found: Interval, form: str = "+.3f") -> str:
    """A mean with its interval as text.

    Example:
        >>> span(interval([0.1, 0.2, 0.3]))
        '+0.200 [-0.048, +0.448]'
    """
    mean = format(found.mean, form)
    if found.low is None or found.high is None:
        return mean
    return f"{mean} [{format(found.low, form)}, {format(found.high, form)}]"


def numbers(found: Interval) -> dict[str, Any]:
    """An interval as plain data."""
    return {"mean": found.mean, "low": found.low, "high": found.high, "seeds": found.n_seeds, "p": found.p}
