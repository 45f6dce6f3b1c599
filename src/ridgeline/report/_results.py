"""Results: what a run folder holds, opened."""

from pathlib import Path
from typing import Any, Self

import polars as pl
from rich import box
from rich.markup import escape
from rich.table import Table

from ridgeline.errors import RidgelineError
from ridgeline.report._compare import difference
from ridgeline.report._fill import show
from ridgeline.report._stored import Stored
from ridgeline.report._summary import summarize
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

    def numbers(self) -> dict[str, Any]:
        """Every number of the report, as in results.json."""
        return summarize(self._stored)

    def summary(self) -> pl.DataFrame:
        """One row an arm: mean, low and high of each metric at the last step."""
        rows = []
        for arm in self.numbers()["arms"]:
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
        return terminal_table(self.numbers())


def terminal_table(numbers: dict[str, Any]) -> Table:
    """The arms as a terminal table, 80 columns wide."""
    classes = "val_accuracy" in numbers["metrics"]
    table = Table(
        title=f"{numbers['name']}: last step, means over seeds; Δ paired to the baseline, 95 % interval",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
    )
    table.add_column("arm", overflow="fold")  # long labels wrap, so that the numbers stay whole
    columns = ["val\nloss", "Δ", "p\n(Holm)"] + (["val\nacc."] if classes else [])
    for column in [*columns, "gap"]:
        table.add_column(column, justify="right", no_wrap=True)
    for index, arm in enumerate(numbers["arms"]):
        if arm["n_diverged"]:
            table.add_row(
                escape(arm["arm"]), f"{arm['n_diverged']} of {arm['n_seeds']} diverged", style="dim"
            )
            continue
        final, versus = arm["final"], (arm["versus"] or {}).get("val_loss")
        delta, p = _delta(versus)
        cells = [
            show(final["val_loss"]["mean"], ".3f"),
            "baseline" if index == numbers["baseline"] else delta,
            p,
        ]
        if classes:
            cells.append(show(final["val_accuracy"]["mean"], ".3f"))
        cells.append(show(final["gap"]["mean"], ".3f"))
        chosen = numbers["chosen"] and numbers["chosen"]["val_loss"] == index
        table.add_row(escape(arm["arm"]), *cells, style="bold" if chosen else "")
    return table


def _delta(versus: dict[str, float | None] | None) -> tuple[str, str]:
    if versus is None:
        return "–", "–"
    text = show(versus["mean"], "+.3f")
    if versus["low"] is None:
        return text, "–"
    # rich reads [ as markup
    return f"{text} \\[{show(versus['low'], '+.3f')}, {show(versus['high'], '+.3f')}]", show(
        versus["p_holm"], ".2g"
    )
