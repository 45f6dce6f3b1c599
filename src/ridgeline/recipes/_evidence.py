"""Reading stored results for claims: paired differences by seed and example, places, curves."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ridgeline.diagnosis import Curve, penalty_inside
from ridgeline.recipes._arms_read import note
from ridgeline.recipes._recipe import Place
from ridgeline.report import Results
from ridgeline.statistics import Interval, interval, prediction_interval

Floats = npt.NDArray[np.float64]


def _trials(results: Results, arm: str) -> pl.DataFrame:
    """The trials of an arm, whatever became of them; every claim reads arms by this."""
    note(arm)
    return results.trials.filter(pl.col("arm") == arm)


def _done(results: Results, arm: str) -> pl.DataFrame:
    """Those that did not diverge."""
    return _trials(results, arm).filter(pl.col("status") == "done")


def by_seed(results: Results, arm: str, value: pl.Expr) -> dict[int, float]:
    """An expression over the trials of an arm, by seed; diverged seeds are left out."""
    found = _done(results, arm).select("seed", value.cast(pl.Float64).alias("value"))
    return dict(zip(found["seed"].to_list(), found["value"].to_list(), strict=True))


def curve(results: Results, arm: str, *columns: str) -> pl.DataFrame:
    """seed, step and the columns of an arm's curves."""
    rows = _trials(results, arm).select("trial_id", "seed")
    return results.curves.join(rows, on="trial_id").select("seed", "step", *columns).sort("seed", "step")


def examples(results: Results, arm: str, name: str, of: str, when: str = "last") -> pl.DataFrame:
    """seed, example, value: `of` (loss or correct) of each example of a set at the last or best step."""
    chosen = results.predictions.filter((pl.col("set") == name) & (pl.col("when") == when))
    found = chosen.join(_done(results, arm).select("trial_id", "seed"), on="trial_id")
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


def accuracy_gap(results: Results, arm: str) -> pl.DataFrame:
    """seed, example, value: whole-set training accuracy of the seed − correctness of each test example.

    The training examples are a sample as well, of which no run stores the single ones. They are taken to vary as
    the test examples do, n of them beside n_train: what a test example differs from the mean is stretched by
    √(1 + n/n_train), so that s²/n of the stretched ones is s²/n + s²/n_train.
    """
    train = by_seed(results, arm, pl.col("final_train_accuracy"))
    found = examples(results, arm, "test", "correct")
    by = pl.DataFrame(
        {"seed": list(train), "train": list(train.values())}, {"seed": pl.Int64, "train": pl.Float64}
    )
    joined = found.join(by, on="seed").select("seed", "example", value=pl.col("train") - pl.col("value"))
    if joined.is_empty():
        return joined
    trained = min(_done(results, arm)["n_train"].to_list())
    stretch = (1.0 + joined["example"].n_unique() / trained) ** 0.5
    mean = pl.col("value").mean().over("seed")
    return joined.with_columns(value=mean + stretch * (pl.col("value") - mean))


def over_examples(frame: pl.DataFrame, minus: pl.DataFrame | None = None) -> Interval:
    """The interval of a frame (seed, example, value), or of its difference to another, pair by pair."""
    return interval(*means(frame, minus))


def means(frame: pl.DataFrame, minus: pl.DataFrame | None = None) -> tuple[list[float], Floats]:
    """What `interval` and `holm_intervals` take: the means by seed and by example of such a frame."""
    if minus is not None:
        both = frame.join(minus, on=["seed", "example"], suffix="_b")
        frame = both.select("seed", "example", value=pl.col("value") - pl.col("value_b"))
    seeds = frame.group_by("seed").agg(pl.col("value").mean()).sort("seed")["value"]
    found = frame.group_by("example").agg(pl.col("value").mean()).sort("example")["value"]
    return seeds.to_list(), found.to_numpy()


def last_weights(results: Results, arm: str) -> dict[int, Path]:
    """The file of an arm's weights after the last update, by seed; diverged seeds are left out."""
    ids = _done(results, arm).select("seed", "trial_id").rows()
    return {seed: results.path / "weights" / f"{name}.safetensors" for seed, name in ids}


def last_record(results: Results, arm: str, column: str) -> dict[int, float]:
    """A column of an arm's curves at the last record, by seed; diverged seeds are left out."""
    done = list(by_seed(results, arm, pl.col("seed")))
    rows = curve(results, arm, column).filter(pl.col("seed").is_in(done))
    found = rows.group_by("seed", maintain_order=True).last()
    return dict(zip(found["seed"].to_list(), found[column].to_list(), strict=True))


def places(figures: Iterable[tuple[float, Sequence[float]]]) -> Place:
    """Several published figures, each with our runs: inside only where every one of them is."""
    found = {place_of(published, ours) for published, ours in figures}
    return "outside" if "outside" in found else "–" if "–" in found else "inside"


def penalty_seen_inside(results: Results, arm: str, column: str) -> str:
    """What diagnosis says of a held-out loss as its source records it, with the penalty inside.

    "" where it notices nothing, and where it would say the same of the data loss alone.
    """
    runs = curve(results, arm, column, "penalty").filter(pl.col("step") > 0).partition_by("seed")
    said = []
    for run in runs:
        steps, penalty, alone = (
            run[name].cast(pl.Float64).to_numpy() for name in ("step", "penalty", column)
        )
        with_it, without = (
            penalty_inside({"val_loss": Curve.of(loss, steps), "penalty": Curve.of(penalty, steps)})
            for loss in (alone + penalty, alone)
        )
        if with_it and not without:
            said.append(with_it)
    return f"{arm}: in {len(said)} of {len(runs)} runs {said[0]}" if said else ""
