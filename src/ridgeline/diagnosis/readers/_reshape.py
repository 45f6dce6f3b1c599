"""Other layouts of a table, brought to one column a curve: long tables, phases in rows, runs in columns."""

import re

import polars as pl

from ridgeline.diagnosis.readers._names import recognise
from ridgeline.diagnosis.readers._words import SPLITS, words

PHASES = {"split", "phase", "set", "mode", "subset", "stage", "dataset", "partition"}
KEYS = {"metric", "tag", "key", "variable", "measure", "name", "metric name", "quantity"}
VALUES = {"value", "values", "metric value"}
WANDB = re.compile(r"^(?P<run>.+) - (?P<metric>.+)$", re.DOTALL)
_NUMBERED = re.compile(
    r"^(?P<metric>.*?)[\s_\-/.]*\(?(?P<run>(?:seed|run|fold|replicate|rep)[\s_\-=]*\d+)\)?$", re.IGNORECASE
)
# A long table has few distinct metrics, a phase few distinct phases.
_MOST = 500


def reshaped(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with one column a curve."""
    return _phases(_long(frame))


def _long(frame: pl.DataFrame) -> pl.DataFrame:
    """A table of (step, metric, value): each metric becomes a column."""
    value = [c for c in frame.columns if " ".join(words(c[:60])) in VALUES]
    keys = [c for c in frame.columns if " ".join(words(c[:60])) in KEYS and frame[c].dtype == pl.String]
    if len(value) != 1:
        return frame
    for key in keys:
        metrics = frame[key].drop_nulls().unique(maintain_order=True)
        if 0 < len(metrics) <= _MOST and any(_is_curve(metric) for metric in metrics):
            rest = frame.drop(key, value[0])
            columns = {
                m: pl.when(frame[key] == m).then(frame[value[0]]) for m in metrics if m not in rest.columns
            }
            return rest.with_columns(**columns)
    return frame


def _phases(frame: pl.DataFrame) -> pl.DataFrame:
    """A table with "train" and "val" in a column of its rows: each metric becomes one column a phase."""
    for column in frame.columns:
        if " ".join(words(column[:60])) not in PHASES or frame[column].dtype != pl.String:
            continue
        phases = frame[column].drop_nulls().unique(maintain_order=True)
        if not 0 < len(phases) <= _MOST or not all(_is_phase(phase) for phase in phases):
            continue
        rest = frame.drop(column)
        plain = [c for c in rest.columns if _is_curve(c) and _split(c) == ""]
        halves = {
            f"{phase} {c}": pl.when(frame[column] == phase).then(rest[c]) for c in plain for phase in phases
        }
        return rest.drop(plain).with_columns(**halves)
    return frame


def runs_in_columns(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """A table with a column a run ("RUN - METRIC" of Weights & Biases, "val_loss_seed1"): one frame a run.

    Empty for a table of another layout. What belongs to no run, as the step, is in each frame.
    """
    columns = frame.columns  # "__MIN" and "__MAX" beside a metric are no curves by their names
    for pattern in (WANDB, _NUMBERED):
        cut = {
            c: found
            for c in columns
            if (found := pattern.match(c)) is not None and _is_curve(found["metric"])
        }
        if not cut:
            continue
        shared = [c for c in columns if pattern.match(c) is None]
        if any(_is_curve(c) for c in shared):
            continue
        frames: dict[str, dict[str, str]] = {}
        for column, found in cut.items():
            frames.setdefault(found["run"], {})[column] = found["metric"]
        return {
            run: frame.select(
                *(c for c in shared if c not in named.values()),
                *(pl.col(c).alias(m) for c, m in named.items()),
            )
            for run, named in frames.items()
            if len(set(named.values())) == len(named)
        }
    return {}


def _is_phase(text: str) -> bool:
    said = words(text[:60])
    return bool(said) and any(word in SPLITS for word in said)


def _is_curve(name: str) -> bool:
    said = recognise(name)
    return said is not None and said.kind != "step"


def _split(name: str) -> str:
    said = recognise(name)
    return "" if said is None else said.split
