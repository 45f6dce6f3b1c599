"""Results: what a run folder holds, opened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import polars as pl
from rich.table import Table

from ridgeline.diagnosis import History, Verdict
from ridgeline.errors import RidgelineError
from ridgeline.report._arms import histories
from ridgeline.report._compare import difference
from ridgeline.report._judgement import from_numbers
from ridgeline.report._stored import Stored
from ridgeline.report._summary import summarize
from ridgeline.report._terminal import terminal_table
from ridgeline.statistics import Interval
from ridgeline.store import finished_parts, read_json


class Results:
    """The stored results of a run; open them by `Results.open(path)`."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The results in a run folder.

        Raises:
            RidgelineError: when the folder holds no finished trial.
        """
        stored = Stored(Path(path))
        if not Path(path).is_dir():
            raise RidgelineError(f"{path} is no folder; name the folder given to --out.")
        if finished_parts(Path(path)) and not (Path(path) / "trials.parquet").is_file():
            raise RidgelineError(
                f"{path} was left by a killed run: run its study again with the same folder, which takes the "
                f"finished trials in."
            )
        if stored.trials.is_empty():
            raise RidgelineError(f"{path} holds no finished trial; run its study first.")
        return cls(stored)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self._stored.run

    @property
    def trials(self) -> pl.DataFrame:
        """One row an (arm, seed): trial_id, arm, seed, every varied key, status, steps, metrics, seconds."""
        return self._stored.trials

    @property
    def curves(self) -> pl.DataFrame:
        """One row an evaluation: trial_id, step, epoch, losses, accuracies, penalty, weight_norm, lr."""
        return self._stored.curves

    @property
    def predictions(self) -> pl.DataFrame:
        """One row an example of val and test, at the last and the best step: loss, correct."""
        return self._stored.predictions

    def numbers(self, resamples: int | None = None) -> dict[str, Any]:
        """Every number of the report, as in results.json.

        Args:
            resamples: for the confidence of each verdict; by default 200, fewer where arms are many.
        """
        return summarize(self._stored, resamples=resamples)

    def summary(self) -> pl.DataFrame:
        """One row an arm: mean, low and high of each metric at the last step."""
        rows = []
        for arm in summarize(self._stored, verdicts=False)["arms"]:
            row: dict[str, Any] = {"arm": arm["arm"], "seeds": arm["n_seeds"], "diverged": arm["n_diverged"]}
            for metric, found in arm["final"].items():
                row[metric] = found["mean"]
                if "low" in found:
                    row |= {f"{metric}_low": found["low"], f"{metric}_high": found["high"]}
            rows.append(row)
        return pl.DataFrame(rows, infer_schema_length=None)

    def compare(self, arm_a: str, arm_b: str) -> dict[str, Interval]:
        """The paired differences arm_b − arm_a in validation loss and, for classes, accuracy.

        Raises:
            RidgelineError: for an unknown arm, or two arms without a common finished seed.
        """
        metrics = ["val_loss"]
        if self.trials["task"][0] == "classification":
            metrics.append("val_accuracy")
        found = {metric: difference(self._stored, arm_b, arm_a, metric) for metric in metrics}
        complete = {metric: delta for metric, delta in found.items() if delta is not None}
        if not complete:
            raise RidgelineError(f"{arm_a!r} and {arm_b!r} have no seed that finished in both.")
        return complete

    def verdicts(self, numbers: Mapping[str, Any] | None = None) -> dict[str, Verdict]:
        """Of each arm: does it overfit, underfit, is it over-regularized? Its curves judged, and the other arms.

        Args:
            numbers: what `.numbers()` gave, where it is at hand.

        Example:
            >>> ridgeline.Results.open("runs/digits").verdicts()["strength=0"].kind  # doctest: +SKIP
            'overfitting'
        """
        numbers = self.numbers() if numbers is None else numbers
        return {arm["arm"]: from_numbers(arm["verdict"]) for arm in numbers["arms"]}

    def histories(self, arm: str) -> list[History]:
        """The curves of an arm's trials as diagnosis takes them, one a seed.

        Raises:
            RidgelineError: for an arm that the run does not have.
        """
        return histories(self._stored, arm)

    def report(self) -> Path:
        """Write report.html, results.json and figures/; returns the page's path."""
        from ridgeline.report._page import write_report  # loads matplotlib, which only the page needs

        write_report(self.path)
        return self.path / "report.html"

    @property
    def reported(self) -> bool:
        """Whether the page stands and is no older than the tables: a kill may have come between them."""
        page, tables = self.path / "report.html", self.path / "trials.parquet"
        return page.is_file() and page.stat().st_mtime_ns >= tables.stat().st_mtime_ns

    def written(self) -> dict[str, Any]:
        """results.json as it stands: the numbers, the answer, the notes; writes the report if there is none."""
        if not (self.path / "results.json").is_file():
            self.report()
        found: dict[str, Any] = read_json(self.path / "results.json")
        return found

    def answer(self) -> list[str]:
        """The page's sentences, the headline first; writes the report if there is none."""
        return list(self.written()["answer"])

    def __rich__(self) -> Table:
        return terminal_table(summarize(self._stored, verdicts=False))
