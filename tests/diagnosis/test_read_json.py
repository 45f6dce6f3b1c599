"""JSON, JSON lines and Python's own values."""

import json
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
import torch

from ridgeline.diagnosis import Curve, History, read
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import file, one, points

STATE = {
    "best_metric": None,
    "epoch": 0.2,
    "global_step": 20,
    "log_history": [
        {"epoch": 0.1, "grad_norm": 1.5, "learning_rate": 5e-05, "loss": 0.9, "step": 10},
        {"epoch": 0.1, "eval_accuracy": 0.5, "eval_loss": 0.8, "eval_runtime": 2.0, "step": 10},
        {"epoch": 0.2, "grad_norm": 1.5, "learning_rate": 4e-05, "loss": 0.7, "step": 20},
        {"epoch": 0.2, "eval_accuracy": 0.75, "eval_loss": 0.6, "eval_runtime": 2.0, "step": 20},
        {"epoch": 0.2, "step": 20, "total_flos": 1.0, "train_loss": 0.8, "train_runtime": 5.0},
    ],
}


def test_trainer_state(tmp_path: Path) -> None:
    history = one(file(tmp_path, "trainer_state.json", json.dumps(STATE, indent=2)))
    assert points(history, "train_loss") == [
        (10.0, 0.9),
        (20.0, 0.7),
    ]  # not the mean that is written at the end
    assert points(history, "val_loss") == [(10.0, 0.8), (20.0, 0.6)]
    assert points(history, "val_accuracy") == [(10.0, 0.5), (20.0, 0.75)]
    assert points(history, "lr") == [(10.0, 5e-05), (20.0, 4e-05)]
    assert (history.unit, history.notes) == ("step", ())


LAYOUTS: dict[str, Any] = {
    "columns": {"epoch": [1, 2], "loss": [3, 4], "val_loss": [5, 6]},
    "rows": [{"epoch": 1, "loss": 3, "val_loss": 5}, {"epoch": 2, "loss": 4, "val_loss": 6}],
    "rows inside": {
        "config": {"lr": 0.1},
        "metrics": [{"epoch": e, "loss": e + 2, "val_loss": e + 4} for e in (1, 2)],
    },
    "columns inside": {
        "params": {"lr": 0.1},
        "history": {"epoch": [1, 2], "loss": [3, 4], "val_loss": [5, 6]},
    },
    "splits": {"epoch": [1, 2], "train": {"loss": [3, 4]}, "val": {"loss": [5, 6]}},
    "metrics": {"epoch": [1, 2], "loss": {"train": [3, 4], "val": [5, 6]}},
    "splits in rows": [{"epoch": e, "train": {"loss": e + 2}, "valid": {"loss": e + 4}} for e in (1, 2)],
    "rows by epoch": {"1": {"loss": 3, "val_loss": 5}, "2": {"loss": 4, "val_loss": 6}},
    "named epochs": {
        "epoch_1": {"train": {"loss": 3}, "val": {"loss": 5}},
        "epoch_2": {"train": {"loss": 4}, "val": {"loss": 6}},
    },
    "sparse rows": [
        {"epoch": 1, "loss": 3},
        {"epoch": 1, "val_loss": 5},
        {"epoch": 2, "loss": 4},
        {"epoch": 2, "val_loss": 6},
    ],
    "numbers as text": [
        {"epoch": "1", "loss": "3", "val_loss": "5"},
        {"epoch": "2", "loss": "4", "val_loss": "6.0"},
    ],
    "numbers in lists": [
        {"epoch": 1, "loss": [3], "val_loss": [5]},
        {"epoch": 2, "loss": [4], "val_loss": [6]},
    ],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path: Path, layout: str) -> None:
    value = LAYOUTS[layout]
    for source in (
        value,
        file(tmp_path, "log.json", json.dumps(value)),
        file(tmp_path, "log.txt", json.dumps(value, indent=1)),
    ):
        history = one(source)
        assert points(history, "train_loss") == [(1.0, 3.0), (2.0, 4.0)]
        assert points(history, "val_loss") == [(1.0, 5.0), (2.0, 6.0)]
        assert history.unit == "epoch"


def test_runs_inside() -> None:
    curves = {"loss": [3, 4], "val_loss": [5, 6]}
    named = read({"l2 seed 0": curves, "l2 seed 1": curves, "none": curves})
    assert [(h.arm, h.run) for h in named] == [("l2", "0"), ("l2", "1"), ("none", "")]
    listed = read([{"name": "a", "seed": 7, "history": curves}, {"name": "b", "seed": 8, "history": curves}])
    assert [(h.arm, h.run) for h in listed] == [("a", "7"), ("b", "8")]
    assert all(points(h, "val_loss") == [(1.0, 5.0), (2.0, 6.0)] for h in (*named, *listed))


def test_rows_of_several_runs() -> None:
    rows = [
        {"arm": arm, "seed": seed, "step": step, "loss": step}
        for arm in "ab"
        for seed in (0, 1)
        for step in (1, 2)
    ]
    assert [(h.arm, h.run) for h in read(rows)] == [("a", "0"), ("a", "1"), ("b", "0"), ("b", "1")]


def test_json_lines(tmp_path: Path) -> None:
    content = (
        '{"step": 1, "loss": 0.5}\n\n{"step": 2, "loss": NaN, "note": "x"}\n{"step": 3, "loss": Infinity}\n'
    )
    for name in ("log.jsonl", "log.ndjson", "log.txt", "log.json"):
        history = one(file(tmp_path, name, content))
        values = history.curves["train_loss"].values
        assert history.curves["train_loss"].steps.tolist() == [1, 2, 3]
        assert math.isnan(values[1])
        assert values[2] == math.inf


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    history = one(
        file(tmp_path, "log.jsonl", '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n{"step": 3, "lo')
    )
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    assert history.notes == ("line 3 is cut off and was left out",)


def test_where_json_breaks(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match=r"log\.json, line 2: looked for JSON.*format='jsonl'"):
        read(file(tmp_path, "log.json", '{"loss": [1, 2],\n"val_loss": [3'))
    with pytest.raises(
        RidgelineError, match=r"log\.jsonl, line 2: looked for a JSON object, found 'hello'; mend"
    ):
        read(file(tmp_path, "log.jsonl", '{"loss": 1}\nhello\n{"loss": 2}\n'))
    with pytest.raises(RidgelineError, match=r"log\.json: looked for lists of numbers.*found 'lr', 'a/b'"):
        read(file(tmp_path, "log.json", '{"lr": 0.1, "a": {"b": "text"}}'))


def test_values_of_libraries() -> None:
    losses = [np.float32(0.5), torch.tensor(0.25), np.array([0.125]), None, 10**400]
    assert points(one({"loss": losses}), "train_loss") == [
        (1.0, 0.5),
        (2.0, 0.25),
        (3.0, 0.125),
        (5.0, math.inf),
    ]
    for whole in (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), pl.Series([1.0, 2.0]), (1, 2)):
        assert points(one({"loss": whole}), "train_loss") == [(1.0, 1.0), (2.0, 2.0)]


def test_nan_in_a_dict_is_evidence() -> None:
    values = one({"loss": [1.0, math.nan, math.inf]}).curves["train_loss"].values
    assert math.isnan(values[1])
    assert values[2] == math.inf


def test_columns_of_other_lengths_are_spread_over_the_same_steps() -> None:
    history = one({"loss": [float(x) for x in range(10)], "val_loss": [1.0, 2.0]})
    assert points(history, "val_loss") == [(5.0, 1.0), (10.0, 2.0)]
    assert history.notes == (
        "'val_loss' has 2 points and 'loss' 10: they were spread evenly over the same steps",
    )


def test_polars_frames() -> None:
    frame = pl.DataFrame({"step": [1, 2, 3], "loss": [0.5, None, math.nan], "val_loss": [None, 0.5, None]})
    for source in (frame, frame.lazy()):
        history = one(source)
        assert len(history.curves["train_loss"]) == 2
        assert points(history, "val_loss") == [(2.0, 0.5)]


class Column:
    """A column as pandas gives it."""

    def __init__(self, values: list[Any], name: str | None = None) -> None:
        self.values, self.name = values, name

    def to_numpy(self) -> Any:
        return np.array(self.values)


class Pandas:
    """What of a pandas frame is used, so that the tests need no pandas; the optional tests have the real one."""

    def __init__(self, columns: dict[str, list[Any]], index: Column | None = None) -> None:
        self.columns, self.index = list(columns), index
        self.iloc = self
        self._all = list(columns.values())

    def __getitem__(self, place: tuple[slice, int]) -> Column:
        return Column(self._all[place[1]])


def test_pandas_writes_nan_where_it_has_nothing() -> None:
    nan = math.nan
    sparse = Pandas({"step": [1, 1, 2, 2], "loss": [0.5, nan, 0.4, nan], "val_loss": [nan, 0.6, nan, 0.5]})
    history = one(sparse)
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    assert points(history, "val_loss") == [(1.0, 0.6), (2.0, 0.5)]
    uneven = one(Pandas({"step": [1, 2, 3], "loss": [0.5, 0.4, nan], "val_loss": [nan, nan, 0.5]}))
    assert points(uneven, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]


def test_pandas_where_training_broke() -> None:
    frame = Pandas(
        {"loss": [0.5, 0.4, math.nan], "val_loss": [0.5, 0.4, math.nan]}, index=Column([5, 6, 7], "epoch")
    )
    history = one(frame)
    assert history.curves["train_loss"].steps.tolist() == [5, 6, 7]
    assert math.isnan(history.curves["val_loss"].values[-1])


class Keras:
    """What of a Keras History is used."""

    epoch = (0, 1)
    history: ClassVar = {
        "loss": [0.5, 0.4],
        "accuracy": [0.5, 0.75],
        "val_loss": [0.6, 0.5],
        "val_accuracy": [0.5, 0.5],
    }


def test_keras_history() -> None:
    history = one(Keras())
    assert points(history, "val_loss") == [(1.0, 0.6), (2.0, 0.5)]
    assert points(history, "train_accuracy") == [(1.0, 0.5), (2.0, 0.75)]
    assert history.unit == "epoch"
    assert points(one(Keras.history), "val_loss") == [(1.0, 0.6), (2.0, 0.5)]


def test_histories_pass_through() -> None:
    history = History({"val_loss": Curve.of([1.0, 2.0])}, arm="a")
    assert read(history) == [history]
    assert read([history, history]) == [history, history]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "cannot be read from an object of type int"),
        (None, "cannot be read from an object of type NoneType"),
        (b"log.csv", "cannot be read from an object of type bytes"),
        ({}, "the dict: looked for lists of numbers"),
        ([], "the list: looked for lists of numbers"),
        ([1.0, 2.0], "the list: looked for lists of numbers"),
        ({"loss": []}, "the dict: looked for lists"),
        ({"a": [1.0]}, r"found the columns 'a'; name them, e.g. columns={'val_loss': 'a'}"),
        ({"loss": ["x", "y"]}, "looked for a number in column 'loss', found 'x'"),
        ({"loss": [None, None]}, "2 rows have no number there"),
        (pl.DataFrame(), "found the columns none"),
        (pl.DataFrame({"loss": []}), "no row follows the header"),
        ("epoch 1, loss 0.5\nepoch 2, loss 0.4\n", "not a path; write the log to a file"),
    ],
)
def test_what_is_no_history(source: Any, message: str) -> None:
    with pytest.raises(RidgelineError, match=message) as refused:
        read(source)
    assert "\n" not in str(refused.value)


def test_a_format_of_no_file_is_refused() -> None:
    with pytest.raises(RidgelineError, match="format='csv' is for files, the source is the dict"):
        read({"loss": [1.0]}, format="csv")
