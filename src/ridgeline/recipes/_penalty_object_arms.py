"""S3's arms by label, what its source printed, and reading a run's curves by seed."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from ridgeline.recipes._evidence import by_seed, curve
from ridgeline.recipes._recipe import Evidence, Judgement, Place

NONE, DECAY, OBJECT, DEAD = "none", "weight_decay", "object", "object (p = 0)"
NORM, L2, DECOUPLED, BY_NAME = "norm on weights", "l2 on weights", "decoupled l2 on weights", "l2 by name"
STRENGTHS = (10.0, 1e4)
SHOWN = {0.0: "0", 10.0: "10", 1e4: "1e4"}
# The source's last record; how many validation images are the fixed ones; the steps of the long arms.
LAST, HEAD, LONG = 140, 1_000, 3_000
# What the source printed at step 140: with weight_decay the loss of the batch, with the object that and λΣ‖w‖.
PRINTED = {NONE: 0.71, f"{DECAY} 10": 0.93, f"{DECAY} 1e4": 2.17}
PRINTED_OBJECT = {10.0: 1_133.0, 1e4: 1_128_239.0}
FALLS = (43.0, 44.2)
STARTS = {10.0: 1_563.0, 1e4: 1_570_211.0}  # with the object at step 0, the batch's loss in it

Floats = npt.NDArray[np.float64]


def arm(kind: str, strength: float) -> str:
    """The label of an arm."""
    return f"{kind} {SHOWN[strength]}"


def long(label: str) -> str:
    """The label of an arm with its steps extended."""
    return f"{label}, {LONG:,} steps"


PUBLISHED = tuple(arm(kind, s) for kind in (DECAY, OBJECT) for s in STRENGTHS)


def lacking(evidence: Evidence, *labels: str) -> Judgement | None:
    """Undecided, with the reason, unless some seed finished in all these arms."""
    finished = [set(by_seed(evidence.results, label, pl.col("seed"))) for label in labels]
    if set.intersection(*finished):
        return None
    return Judgement("undecided", f"no seed finished in all of {listed(labels)}.")


def series(evidence: Evidence, label: str, column: str, first: int, last: int) -> dict[int, list[float]]:
    """A column of an arm's curves from one step to another, by seed; only of seeds that finished."""
    done = list(by_seed(evidence.results, label, pl.col("seed")))
    within = pl.col("step").is_between(first, last) & pl.col("seed").is_in(done)
    rows = curve(evidence.results, label, column).filter(within).drop_nulls()
    found = rows.group_by("seed", maintain_order=True).agg(pl.col(column))
    return dict(zip(found["seed"].to_list(), found[column].to_list(), strict=True))


def at(evidence: Evidence, label: str, column: str, step: int) -> dict[int, float]:
    """A column of an arm's curves at one step, by seed."""
    return {seed: values[0] for seed, values in series(evidence, label, column, step, step).items()}


def printed(evidence: Evidence, label: str, step: int) -> dict[int, float]:
    """Batch loss + penalty, what the source prints, by seed."""
    data, penalty = (at(evidence, label, column, step) for column in ("batch_loss", "penalty"))
    return {seed: data[seed] + penalty[seed] for seed in data}


def all_inside(places: set[Place]) -> Place:
    """One place for several figures: inside where each is."""
    return "outside" if "outside" in places else "–" if "–" in places or not places else "inside"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence."""
    return ", ".join(names)
