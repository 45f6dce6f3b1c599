"""Tables: what a person's CSV, Parquet or NPZ file becomes, and how a bad one is answered."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ridgeline.data import table
from ridgeline.data._examples import ArrayExamples
from ridgeline.errors import RidgelineError

X = {"a": [1.0, 2.0, 3.0, 4.0], "b": [4, 3, 2, 1], "c": [True, False, True, True]}


def write(folder: Path, suffix: str, columns: dict[str, Any]) -> Path:
    path = folder / f"t{suffix}"
    if suffix == ".npz":
        np.savez(path, allow_pickle=True, **{name: np.asarray(values) for name, values in columns.items()})
    elif suffix == ".csv":
        pl.DataFrame(columns).write_csv(path)
    else:
        pl.DataFrame(columns).write_parquet(path)
    return path


def rows(path: Path, **options: Any) -> tuple[ArrayExamples, str]:
    splits = table(path, "y", **options)(0)
    assert isinstance(splits.train, ArrayExamples)
    return splits.train, splits.task


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([7, 3, 7, 3], [1, 0, 1, 0]),
        (["no", "yes", "no", "no"], [0, 1, 0, 0]),
        ([True, False, False, True], [1, 0, 0, 1]),
        ([1.0, 0.0, 0.0, 1.0], [1, 0, 0, 1]),
    ],
)
def test_classes(tmp_path: Path, suffix: str, y: list[Any], classes: list[int]) -> None:
    examples, task = rows(write(tmp_path, suffix, {**X, "y": y}))
    assert task == "classification"
    assert examples.y.dtype == torch.int64
    assert examples.y.tolist() == classes
    assert examples.x.tolist() == [[1, 4, 1], [2, 3, 0], [3, 2, 1], [4, 1, 1]]
    assert examples.x.dtype == torch.float32
    assert examples.ids.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_numbers_are_a_regression_target(tmp_path: Path, suffix: str) -> None:
    examples, task = rows(write(tmp_path, suffix, {**X, "y": [0.5, 1.5, 2.5, 3.5]}))
    assert task == "regression"
    assert examples.y.dtype == torch.float32
    assert examples.y.tolist() == [[0.5], [1.5], [2.5], [3.5]]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
def test_an_explicit_task_decides(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path, suffix, {**X, "y": [0, 1, 1, 0]})
    examples, task = rows(path, task="regression")
    assert (task, examples.y.tolist()) == ("regression", [[0], [1], [1], [0]])
    path = write(tmp_path, suffix, {**X, "y": [0.5, 1.5, 1.5, 0.5]})
    examples, task = rows(path, task="classification")
    assert (task, examples.y.tolist()) == ("classification", [0, 1, 1, 0])


def test_npz_takes_images(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((6, 1, 3, 3))
    examples, _ = rows(write(tmp_path, ".npz", {"x": images, "y": [0, 1] * 3}))
    assert np.array_equal(examples.x.numpy(), images.astype(np.float32))


BAD_FRAMES: list[tuple[dict[str, Any], str]] = [
    ({"a": [1.0, 2.0], "yy": [0, 1]}, r"no column 'y'; did you mean 'yy'\?"),
    ({"a": ["p", "q"], "y": [0, 1]}, r"column 'a' is String, not numeric; encode"),
    ({"a": [1.0, None], "y": [0, 1]}, r"column 'a' is missing.* 1 of 2 rows, first in row 1; fill or drop"),
    ({"a": [float("nan"), 1.0], "y": [0, 1]}, r"column 'a' .* 1 of 2 rows, first in row 0"),
    ({"a": [1.0, float("-inf")], "y": [0, 1]}, r"column 'a' .* first in row 1"),
    ({"a": [1.0, 2.0], "y": [0.5, None]}, r"column 'y' is missing.* first in row 1"),
    ({"a": [1e300, 2.0], "y": [0, 1]}, "the inputs.*float32's range; rescale"),
    ({"a": [1.0, 2.0], "y": [0.5, 1e300]}, "'y'.*float32's range; rescale"),
    ({"y": [0, 1]}, "1 columns and 2 rows.*at least one input"),
]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(("columns", "message"), BAD_FRAMES)
def test_bad_columns_are_answered(tmp_path: Path, suffix: str, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(RidgelineError, match=message):
        table(write(tmp_path, suffix, columns), "y")


def test_a_nested_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match=r"'y' is List.*one value a row"):
        table(write(tmp_path, ".parquet", {"a": [1, 2], "y": [[1], [2]]}), "y")


BAD_ARRAYS: list[tuple[dict[str, Any], str]] = [
    ({"x": [1.0, 2.0], "yy": [0, 1]}, r"no array 'y'; did you mean 'yy'\?"),
    ({"y": [0, 1]}, "nothing but 'y'; add an array of inputs"),
    ({"a": np.ones((2, 2)), "b": np.ones((2, 2)), "y": [0, 1]}, r"several input arrays \(a, b\).*1-d"),
    ({"a": np.ones(2), "b": np.ones(3), "y": [0, 1]}, "rows must be equal"),
    ({"a": np.ones((3, 2)), "y": [0, 1]}, r"'y' has shape \(2,\); rows must be equal"),
    ({"a": np.ones(()), "y": [0, 1]}, r"the inputs.* has shape \(\)"),
    ({"a": np.ones(2), "y": 1}, r"'y' has shape \(\)"),
    ({"a": np.ones((0, 2)), "y": np.ones(0)}, "rows must be equal"),
    ({"a": ["p", "q"], "y": [0, 1]}, "not numeric; encode"),
    ({"a": [1.0, np.nan], "y": [0, 1]}, "the inputs.* NaN or infinite"),
    ({"a": [1.0, 2.0], "y": [0.5, np.inf]}, "'y' is NaN or infinite"),
    ({"a": [1e300, 2.0], "y": [0, 1]}, "float32's range"),
    ({"a": np.ones((2, 2)), "y": np.ones((2, 2), int)}, r"'y' has shape \(2, 2\); classes are one a row"),
    ({"a": np.ones(2), "y": np.array([{}, None], object)}, "without objects"),
]


@pytest.mark.parametrize(("arrays", "message"), BAD_ARRAYS)
def test_bad_arrays_are_answered(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(RidgelineError, match=message):
        table(write(tmp_path, ".npz", arrays), "y")


def test_the_task_must_fit_the_target(tmp_path: Path) -> None:
    for suffix in (".csv", ".parquet", ".npz"):
        path = write(tmp_path, suffix, {"a": [1, 2], "y": ["p", "q"]})
        with pytest.raises(RidgelineError, match=r"'y' is text; .*must be a number"):
            table(path, "y", task="regression")
        path = write(tmp_path, suffix, {"a": list(range(9)), "y": [i / 7 for i in range(9)]})
        with pytest.raises(RidgelineError, match=r"9 distinct values in 9 rows.*task: regression"):
            table(path, "y", task="classification")


def test_missing_empty_and_foreign_files_are_answered(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match=r"none\.csv does not exist; check the path"):
        table(tmp_path / "none.csv", "y")
    (tmp_path / "t.xlsx").touch()
    with pytest.raises(RidgelineError, match=r"'\.xlsx'; allowed: \.csv, \.parquet, \.npz"):
        table(tmp_path / "t.xlsx", "y")
    (tmp_path / "t.csv").write_text("a,y\n")
    with pytest.raises(RidgelineError, match="2 columns and 0 rows"):
        table(tmp_path / "t.csv", "y")
    for suffix in (".csv", ".parquet", ".npz"):
        (tmp_path / f"t{suffix}").write_bytes(b"")
        with pytest.raises(RidgelineError, match=f"cannot be read as {suffix[1:]}"):
            table(tmp_path / f"t{suffix}", "y")


def test_a_panic_of_the_reader_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """polars' Rust code panics on some damaged files; a PanicException is no Exception."""

    def panic(file: Path) -> None:
        raise pl.exceptions.PanicException("assertion failed")

    path = write(tmp_path, ".parquet", {"a": [1, 2], "y": [0, 1]})
    monkeypatch.setattr(pl, "read_parquet", panic)
    with pytest.raises(RidgelineError, match=r"cannot be read as parquet \(assertion failed\)"):
        table(path, "y")


def good_bytes(suffix: str) -> bytes:
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, a=np.arange(4.0), y=np.array([0, 1, 0, 1]))
    else:
        frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]})
        frame.write_csv(buffer) if suffix == ".csv" else frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npz"])
@settings(
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_garbage_is_read_or_refused_never_a_crash(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    good = good_bytes(suffix)
    at = data.draw(st.integers(0, len(good)))
    junk = data.draw(st.binary(max_size=40))
    path = tmp_path / f"t{suffix}"
    bad = [junk, good[:at]]
    if suffix != ".parquet":  # polars ends the whole process on some Parquet files with a damaged middle
        bad.append(good[:at] + junk + good[at + len(junk) :])
    path.write_bytes(data.draw(st.sampled_from(bad)))
    with contextlib.suppress(RidgelineError):
        examples, _ = rows(path)
        assert len(examples.x) == len(examples.y) == len(examples.ids)
        assert bool(torch.isfinite(examples.x).all())
