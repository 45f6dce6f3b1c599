"""A run as the report reads it: the stored tables, the specification, the plan."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from ruamel.yaml import YAML

from ridgeline.errors import RidgelineError, nearest
from ridgeline.store import read_json, read_table

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Stored:
    """The tables of one run folder; nothing here knows how they were made."""

    run: Path

    @cached_property
    def trials(self) -> pl.DataFrame:
        """One row an (arm, seed)."""
        return read_table(self.run, "trials")

    @cached_property
    def curves(self) -> pl.DataFrame:
        """One row an evaluation of a trial."""
        return read_table(self.run, "curves")

    @cached_property
    def predictions(self) -> pl.DataFrame:
        """One row an example, set and moment (last, best) of a trial."""
        return read_table(self.run, "predictions")

    @cached_property
    def audit(self) -> pl.DataFrame:
        """One row a parameter of a penalised trial."""
        return read_table(self.run, "audit")

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The study's specification."""
        path = self.run / "study.yaml"
        if not path.is_file():
            raise RidgelineError(f"{self.run} holds no study.yaml; is it a run folder?")
        value: dict[str, Any] = YAML(typ="safe", pure=True).load(path.read_text())
        return value

    @cached_property
    def plan(self) -> dict[str, Any]:
        """How the run was laid on the machine."""
        return read_json(self.run / "plan.json") or {}

    @cached_property
    def provenance(self) -> dict[str, str]:
        """What made the numbers, from inside trials.parquet."""
        stored = pl.read_parquet_metadata(self.run / "trials.parquet")
        hidden = ("ARROW:schema", "study")
        return {key: value for key, value in stored.items() if key not in hidden}

    @property
    def arms(self) -> list[str]:
        """The arms' labels in the study's order."""
        return self.trials["arm"].unique(maintain_order=True).to_list()

    @property
    def varied(self) -> list[str]:
        """The dotted keys that differ between arms."""
        sections = ("data", "model", "train", "regularization", "evaluate")
        return [c for c in self.trials.columns if c.partition(".")[0] in sections and "." in c]

    def of_arm(self, arm: str) -> pl.DataFrame:
        """The trials of one arm.

        Raises:
            RidgelineError: for an arm that the run does not have.
        """
        rows = self.trials.filter(pl.col("arm") == arm)
        if rows.is_empty():
            raise RidgelineError(f"no arm is called {arm!r}; {nearest(arm, self.arms)}")
        return rows

    def column(self, arm: str, name: str) -> dict[int, float]:
        """One column of the trials of an arm by seed, diverged seeds left out."""
        rows = self.of_arm(arm).filter(pl.col("status") == "done")
        return dict(zip(rows["seed"], rows[name], strict=True))

    def examples(self, arm: str, name: str, of: str, when: str = "last") -> pl.DataFrame:
        """Columns seed, example, value: `of` (loss or correct) of each example of a set."""
        rows = self.of_arm(arm).filter(pl.col("status") == "done").select("trial_id", "seed")
        chosen = self.predictions.filter((pl.col("set") == name) & (pl.col("when") == when))
        return chosen.join(rows, on="trial_id").select(
            "seed", "example", "label", pl.col(of).cast(pl.Float64).alias("value")
        )

    def mean_curve(self, arm: str, name: str) -> tuple[npt.NDArray[np.int64], Floats]:
        """Steps (points,) and the column's values (seeds, points) where every done seed has a value."""
        rows = self.of_arm(arm).filter(pl.col("status") == "done").select("trial_id")
        frame = self.curves.join(rows, on="trial_id").select("trial_id", "step", name).drop_nulls()
        wide = frame.pivot("trial_id", index="step", values=name).drop_nulls().sort("step")
        return wide["step"].to_numpy(), wide.drop("step").cast(pl.Float64).to_numpy().T
