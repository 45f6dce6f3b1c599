"""read(): from whatever log a person has to histories."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from ridgeline.diagnosis._history import History, Role
from ridgeline.diagnosis.readers import _nested
from ridgeline.diagnosis.readers._columns import series
from ridgeline.diagnosis.readers._files import tables_of
from ridgeline.diagnosis.readers._histories import histories
from ridgeline.diagnosis.readers._table import Table
from ridgeline.errors import RidgelineError


def read(
    source: Any,
    *,
    columns: Mapping[Role, str] | None = None,
    format: str | None = None,  # noqa: A002 - the word that polars and others have for it
) -> list[History]:
    """Read training histories from a file, a folder, or Python's own values.

    Files: CSV with any delimiter (also Lightning's sparse metrics.csv and exports of Weights & Biases), JSON,
    JSON lines, Hugging Face's trainer_state.json, printed logs (words and numbers, progress bars, tables of Keras
    and fastai), Parquet, TensorBoard's event files (`pip install 'ridgeline[tensorboard]'`). Folders: of a
    Ridgeline run, of TensorBoard, with Lightning's or Hugging Face's files. In memory: a dict of lists, a list of
    row dicts, a polars or pandas frame, a Keras History, a History or several (returned as they are).

    Columns are recognised by name. Among several that fit a curve the order is: raw before averaged before
    smoothed, val before dev, eval, test; fewest words that say nothing; the named split before the plain name;
    plain before per epoch before per step; the choice is in the history's notes. Columns such as arm, name,
    config, seed, fold, run, trial_id part the rows into arms and runs.

    Units: steps count what the log counts (`History.unit`); losses are as they are logged; accuracies are in
    [0, 1], percentages divided by 100, errors as 1 − error. A cell that says nan or inf is kept.

    Args:
        source: see above.
        columns: the columns of some curves by role ("train_loss", "val_loss", "train_accuracy", "val_accuracy",
            "penalty", "lr"); the others are still recognised. Histories have their roles already.
        format: of a file, where its name and content mislead: "csv", "json", "jsonl", "log", "parquet",
            "tensorboard".

    Raises:
        RidgelineError: for what cannot be read: the file, the line, what was looked for, the remedy.

    Example:
        >>> from ridgeline.diagnosis import read
        >>> [history] = read({"loss": [0.9, 0.5, 0.3], "val_loss": [0.8, 0.6, 0.7], "accuracy": [61.0, 80.0, 90.0]})
        >>> history.curves["train_accuracy"].values
        array([0.61, 0.8 , 0.9 ])
        >>> history.notes
        ('train_accuracy is in percent and was divided by 100',)
    """
    given = dict(columns or {})
    if isinstance(source, History):
        return [source]
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, History) for one in source):
        return list(source)
    if isinstance(source, str) and "\n" in source:
        raise RidgelineError(
            "the source is a text of several lines, not a path; write the log to a file and give its path."
        )
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        found = [h for table in tables_of(path, given, format) for h in histories(table, given)]
        return [replace(found[0], run=path.name)] if len(found) == 1 and not found[0].run else found
    if format is not None:
        raise RidgelineError(f"format={format!r} is for files, the source is {_kind(source)}; leave it out.")
    return [h for table in _in_memory(source) for h in histories(table, given)]


def _in_memory(source: Any) -> list[Table]:
    """The tables of a value."""
    what = _kind(source)
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return [Table(source, what)]
    if isinstance(getattr(source, "history", None), Mapping):  # Keras
        return _of_keras(source, what)
    for attribute in ("log_history", "history"):  # the state of Hugging Face's Trainer, a net of skorch
        rows = getattr(source, attribute, None)
        if isinstance(rows, list):
            return _nested.tables(rows, what)
    if hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas
        return [_of_pandas(source, what)]
    if isinstance(source, (Mapping, Sequence)) and not isinstance(source, (str, bytes)):
        return _nested.tables(source, what)
    raise RidgelineError(
        f"a history cannot be read from {what}; give a path, a dict of lists, a list of dicts, a polars or pandas "
        f"frame, a Keras History, or a ridgeline.diagnosis.History."
    )


def _of_keras(source: Any, what: str) -> list[Table]:
    """Keras counts epochs from 0 and prints them from 1."""
    values = dict(source.history)
    epochs = list(getattr(source, "epoch", None) or [])
    if epochs and all(len(cells) == len(epochs) for cells in values.values()):
        values["epoch"] = [epoch + 1 for epoch in epochs]
    return _nested.tables(values, what)


def _of_pandas(source: Any, what: str) -> Table:
    names = [str(name) for name in source.columns]
    columns: dict[str, pl.Series] = {}
    index = getattr(source, "index", None)
    if index is not None and getattr(index, "name", None) is not None and str(index.name) not in names:
        columns[str(index.name)] = series(str(index.name), index.to_numpy())
    for place, name in enumerate(names):
        if name not in columns:
            cells = source.iloc[:, place].to_numpy()
            columns[name] = series(name, cells)
    return Table(pl.DataFrame(list(columns.values())), what, nan_is_missing=True)


def _kind(source: Any) -> str:
    """What messages call a value."""
    named = type(source).__name__
    return f"an object of type {named}" if named not in ("dict", "list", "tuple") else f"the {named}"
