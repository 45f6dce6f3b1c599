"""The stored set as labelled histories: whole runs, runs cut short, and runs with a weird training loss."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from benchmarks.known_truth.draws import fixed
from benchmarks.known_truth.rule import Label
from benchmarks.known_truth.variants import VARIANTS
from ridgeline.diagnosis import Curve, History

Part = Literal["dev", "scored", "all"]
FEWEST_POINTS = 10
_CUTS = 2


@dataclass(frozen=True)
class Labelled:
    """A history and what is known of it.

    Attributes:
        variant: "" as our engine writes it, else what is weird about its training loss.
        label, label_error: by loss, and by accuracy for classes.
        null_loss, null_error: of a predictor that knows nothing; None where the losses were scaled.
        advantage: of the best rival, in units of δ; 0 without a rival.
    """

    task: str
    arm: str
    stop: int
    variant: str
    history: History
    label: Label
    label_error: Label | None
    null_loss: float | None
    null_error: float | None
    advantage: float

    @property
    def name(self) -> str:
        return " / ".join([self.task, self.arm, str(self.stop), self.variant or "plain"])


def part_of(task: str) -> Part:
    """Whether thresholds may be tuned on a task or it is scored; by its name alone.

    The letter was chosen for halves of a size, images and numbers in both, before anything was scored.
    """
    return "dev" if fixed(f"a/{task}", 2) == 0 else "scored"


def load(folder: Path, part: Part = "all") -> list[Labelled]:
    """The histories of a part, in the order of tasks and arms."""
    curves = pl.read_parquet(folder / "histories.parquet").partition_by("task", "arm", as_dict=True)
    labels = pl.read_parquet(folder / "labels.parquet").partition_by("task", "arm", as_dict=True)
    found: list[Labelled] = []
    for (task, arm), rows in labels.items():
        rows = rows.filter("tested")
        if len(rows) and part in ("all", part_of(task)):
            found += _of_run(curves[task, arm], rows.sort("stop"))
    return found


def _of_run(curves: pl.DataFrame, labels: pl.DataFrame) -> Iterator[Labelled]:
    """The whole run, two of its earlier stops, and for some of these a weird variant beside."""
    task, arm = curves["task"][0], curves["arm"][0]
    steps = curves["step"].to_numpy()
    name = f"{task}/{arm}"
    # some logs begin before the first update, others after the first stretch of training
    begin = fixed(f"{name}/begin", 2)
    last = int(steps[-1])
    early = [
        s for s in labels["stop"] if s in steps and s != last and (steps <= s).sum() - begin >= FEWEST_POINTS
    ]
    early.sort(key=lambda stop: fixed(f"{name}/{stop}/cut", 1_000_000))
    for row in labels.filter(pl.col("stop").is_in([last, *early[:_CUTS]])).iter_rows(named=True):
        stop = row["stop"]
        cut = curves[begin:].filter(pl.col("step") <= stop)
        values = {k: cut[k].cast(pl.Float64).to_numpy() for k in cut.columns[2:]}
        plain = Labelled(
            task=task,
            arm=arm,
            stop=stop,
            variant="",
            history=_history(values, f"{name}/{stop}"),
            label=row["label"],
            label_error=row["label_error"],
            null_loss=row["null_loss"],
            null_error=row["null_error"],
            advantage=(row["advantage"] or 0.0) / row["delta"],
        )
        yield plain
        possible = [k for k, weird in VARIANTS.items() if weird(values, arm) is not None]
        chosen = possible[fixed(f"{name}/{stop}/variant", len(possible))]
        if fixed(f"{name}/{stop}/weird", 3) == 0:
            yield _variant(plain, chosen, values)


def _variant(plain: Labelled, variant: str, values: dict[str, np.ndarray]) -> Labelled:
    """The same run with its losses logged in another way."""
    changed = VARIANTS[variant](values, plain.arm)
    assert changed is not None
    history = _history({**values, **changed}, f"{plain.task}/{plain.arm}/{plain.stop}/{variant}")
    null = None if "val_loss" in changed else plain.null_loss
    return replace(plain, variant=variant, history=history, null_loss=null)


def _history(values: dict[str, np.ndarray], name: str) -> History:
    roles = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    curves = {
        role: Curve.of(values[role], values["step"]) for role in roles if np.isfinite(values[role]).any()
    }
    return History(curves, arm=name)  # type: ignore[arg-type]  # names of roles
