"""Means of an arm and paired differences between two, with intervals over seeds and examples."""

import numpy as np
import polars as pl

from ridgeline.report._stored import Floats, Stored
from ridgeline.statistics import Interval, interval

# What a metric's examples are: (column of predictions, set).
_EXAMPLES = {
    "val_loss": ("loss", "val"),
    "val_accuracy": ("correct", "val"),
    "test_loss": ("loss", "test"),
    "test_accuracy": ("correct", "test"),
}


def _example_means(frame: pl.DataFrame) -> Floats:
    """The mean over seeds of each example's value."""
    means = frame.group_by("example", maintain_order=True).agg(pl.col("value").mean())
    return means.sort("example")["value"].to_numpy()


def seed_means(stored: Stored, arm: str, metric: str) -> dict[int, float]:
    """A metric at the last step by seed; test metrics come from the stored examples."""
    if metric.startswith("test_"):
        of, name = _EXAMPLES[metric]
        examples = stored.examples(arm, name, of)
        frame = examples.group_by("seed", maintain_order=True).agg(pl.col("value").mean())
        return dict(zip(frame["seed"], frame["value"], strict=True))
    return stored.column(arm, f"final_{metric}")


def arm_interval(stored: Stored, arm: str, metric: str) -> Interval:
    """The arm's mean of a metric at the last step.

    For metrics of a held-out set the interval carries the sampling of its examples too.
    """
    examples = None
    if metric in _EXAMPLES:
        of, name = _EXAMPLES[metric]
        examples = _example_means(stored.examples(arm, name, of))
    return interval(list(seed_means(stored, arm, metric).values()), examples)


def difference(stored: Stored, arm: str, baseline: str, metric: str) -> Interval | None:
    """The mean of metric(arm) − metric(baseline), paired by seed and by example; None without a pair."""
    ours, theirs = seed_means(stored, arm, metric), seed_means(stored, baseline, metric)
    seeds = [seed for seed in ours if seed in theirs]
    if not seeds:
        return None
    of, name = _EXAMPLES[metric]
    joined = stored.examples(arm, name, of).join(
        stored.examples(baseline, name, of), on=["seed", "example"], suffix="_baseline"
    )
    deltas = joined.select("example", (pl.col("value") - pl.col("value_baseline")).alias("value"))
    return interval([ours[seed] - theirs[seed] for seed in seeds], _example_means(deltas))


def gap(stored: Stored, arm: str) -> Interval:
    """Validation minus training data loss at the last step."""
    val, train = stored.column(arm, "final_val_loss"), stored.column(arm, "final_train_loss")
    examples = _example_means(stored.examples(arm, "val", "loss"))
    return interval([val[seed] - train[seed] for seed in val], examples)


def balanced_accuracy(stored: Stored, arm: str) -> Interval:
    """The mean over classes of the share of correct validation examples, over seeds alone."""
    frame = stored.examples(arm, "val", "correct")
    by_class = frame.group_by("seed", "label", maintain_order=True).agg(pl.col("value").mean())
    by_class = by_class.sort("seed", "label")
    by_seed = by_class.group_by("seed", maintain_order=True).agg(pl.col("value").mean())
    return interval(by_seed["value"].to_list())


def last_minus_best(stored: Stored, arm: str) -> Floats:
    """The mean over seeds of each validation example's loss at the last step minus at the best."""
    joined = stored.examples(arm, "val", "loss").join(
        stored.examples(arm, "val", "loss", when="best"), on=["seed", "example"], suffix="_best"
    )
    deltas = joined.select("example", (pl.col("value") - pl.col("value_best")).alias("value"))
    return _example_means(deltas)


def median(values: dict[int, float]) -> float | None:
    """The median over seeds; None where no seed is left."""
    return float(np.median(list(values.values()))) if values else None
