"""Hostile files end in histories or one sentence, never in a traceback."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ridgeline.diagnosis import History, read
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import file, one, points

CSV = "epoch,loss,val_loss\n1,0.5,0.6\n2,0.4,0.7\n"
SUFFIXES = [".csv", ".json", ".jsonl", ".log", ".parquet", ".tsv", ""]


def expect_curves(found: list[History]) -> None:
    """What a reader owes to those who judge."""
    assert found
    for history in found:
        assert any(role.endswith(("loss", "accuracy")) for role in history.curves)
        for role, curve in history.curves.items():
            assert len(curve.steps) == len(curve.values) > 0
            assert np.isfinite(curve.steps).all()
            assert (np.diff(curve.steps) > 0).all()
            if role.endswith("accuracy"):
                finite = curve.values[np.isfinite(curve.values)]
                assert ((finite >= 0) & (finite <= 1)).all()


def expect_curves_or_a_sentence(path: Path) -> None:
    said = None
    try:
        expect_curves(read(path))
    except RidgelineError as error:
        said = str(error)
    expect_one_sentence(said, path)


def expect_one_sentence(said: str | None, path: Path | None = None) -> None:
    if said is not None:
        assert said.startswith(str(path or ""))
        assert "\n" not in said
        assert len(said) < 1500


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]
)
@pytest.mark.parametrize("name", ["log.csv", "log.txt"])
def test_encodings(tmp_path: Path, encoding: str, name: str) -> None:
    history = one(file(tmp_path, name, CSV.replace("val_loss", "val_loss,größe").encode(encoding)))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    text = "Épochè 1\nepoch 1 loss 0.5\nepoch 2 loss 0.4\n"
    assert points(one(file(tmp_path, "train.log", text.encode(encoding))), "train_loss") == [
        (1.0, 0.5),
        (2.0, 0.4),
    ]
    rows = json.dumps({"é": "ü", "loss": [0.5, 0.4]}, ensure_ascii=False)
    assert points(one(file(tmp_path, "log.json", rows.encode(encoding))), "train_loss") == [
        (1.0, 0.5),
        (2.0, 0.4),
    ]


def test_columns_in_latin_1_can_be_named(tmp_path: Path) -> None:
    path = file(tmp_path, "log.csv", "époque,perte\n1,0.5\n2,0.4\n".encode("latin-1"))
    assert points(one(path, {"train_loss": "perte"}), "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    with pytest.raises(RidgelineError, match="'époque', 'perte'"):
        read(path)


def test_mixed_encodings_and_nul_bytes(tmp_path: Path) -> None:
    mixed = CSV.encode() + "3,0.3,é\n".encode() + "4,0.2,é\n".encode("latin-1") + b"5,0.\x001,0.5\n"
    assert points(one(file(tmp_path, "log.csv", mixed)), "train_loss")[-1] == (5.0, 0.1)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("log.csv", b"", "line 1: the file is empty"),
        ("log.json", b"  \n\n", "line 1: the file is empty"),
        ("log.log", b"\xef\xbb\xbf", "line 1: the file is empty"),
        ("log.csv", b"\0" * 100, "line 1: the file is empty"),
        (
            "log.csv",
            b"epoch,loss\n",
            "line 2: looked for numbers in column 'loss', and no row follows the header",
        ),
        ("log.csv", b"epoch,loss\n1,a\n2,b\n", "line 2: looked for a number in column 'loss', found 'a'"),
        (
            "log.csv",
            b"# x\n\nepoch,loss\n1,\n2,b\n",
            "line 5: looked for a number in column 'loss', found 'b'",
        ),
        (
            "log.csv",
            b"a,b\n1,2\n",
            "line 1: looked for a loss or an accuracy .* found the columns 'a', 'b'; name them",
        ),
        ("log.csv", b"1,2\n3,4\n", "line 1: looked for a loss or an accuracy"),
        ("log.csv", b"step,loss\nx,1\n", None),
        ("log.csv", b"loss", "no row follows the header"),
        ("log.txt", b"0.5\n0.4\n", "line 1: looked for lines with"),
        ("log.json", b"[" * 100_000, "lists inside lists without end"),
        ("log.json", b"3", "looked for lists of numbers"),
        ("log.json", b'"loss"', "looked for lists of numbers"),
        ("log.json", b'{"loss": ' + b"9" * 5000 + b"}", "looked for JSON of curves"),
        ("log.jsonl", b"3\n4\n", "line 1: looked for a JSON object, found '3'"),
        ("log.parquet", b"PAR1xxxx", "looked for a Parquet table"),
        ("model.pt", b"PK\x03\x04xxxx", "found a zip archive"),
        ("log.csv.gz", b"\x1f\x8b\x08\x00", "found compressed by gzip"),
        ("log.pkl", b"\x80\x04\x95", "found a pickle"),
        ("log.csv", bytes(range(256)) * 10, "found binary data"),
    ],
)
def test_sentences(tmp_path: Path, name: str, content: bytes, message: str | None) -> None:
    path = file(tmp_path, name, content)
    if message is None:
        return expect_curves_or_a_sentence(path)
    with pytest.raises(RidgelineError, match=message) as refused:
        read(path)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)
    return None


def test_arrays_of_numpy(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, loss=np.zeros(3))
    with pytest.raises(RidgelineError, match="found a zip archive, as"):
        read(file(tmp_path, "log.npz", buffer.getvalue()))


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match="does not exist; check the path"):
        read(tmp_path / "no.csv")
    with pytest.raises(RidgelineError, match="cannot be read"):
        read(tmp_path / ("x" * 5000))
    with pytest.raises(RidgelineError, match="format: 'cvs' is none; did you mean 'csv'"):
        read(file(tmp_path, "log.csv", CSV), format="cvs")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RidgelineError, match="no regular file"):
        read(tmp_path / "pipe")
    assert points(one(str(file(tmp_path, "log.csv", CSV))), "val_loss") == [(1.0, 0.6), (2.0, 0.7)]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_may_not_be_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may read anything, so that the refusal is planted.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    file(tmp_path, "log.csv", CSV)
    monkeypatch.setattr(Path, "open" if kind == "file" else "iterdir", refuse)
    with pytest.raises(RidgelineError, match=r"cannot be read \(PermissionError.*check its permissions"):
        read(tmp_path / "log.csv" if kind == "file" else tmp_path)


def test_ragged_and_quoted_rows(tmp_path: Path) -> None:
    content = 'epoch,loss,val_loss\n1,0.5\n2,0.4,0.5,0.6\n\n3\n4,"0.3",0.2\n5,"0.25,0.1\n6,0.2,0.1\n'
    assert points(one(file(tmp_path, "log.csv", content)), "val_loss")[0] == (2.0, 0.5)


def test_a_doubled_column(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "epoch,loss,loss,epoch\n1,0.5,7,8\n2,0.4,7,9\n"))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    assert "'loss' stands in the header more than once" in " ".join(history.notes)


def test_huge_and_constant_numbers(tmp_path: Path) -> None:
    history = one(
        file(tmp_path, "log.csv", "step,loss,val_loss\n1,1e308,3\n2,1e999,3\n3,-1e308,3\n1e300,0,3\n")
    )
    assert history.curves["train_loss"].values.tolist() == [1e308, float("inf"), -1e308, 0.0]
    assert history.curves["val_loss"].values.tolist() == [3.0] * 4


def test_one_long_line(tmp_path: Path) -> None:
    line = "loss " + "0.5 " * 50_000
    assert len(one(file(tmp_path, "log.txt", line)).curves["train_loss"]) == 1
    with pytest.raises(RidgelineError, match="looked for lines"):
        read(file(tmp_path, "log.txt", "x" * 1_000_000))


SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
PIECES = [
    "loss",
    "epoch",
    "val_loss",
    "acc",
    ",",
    "\n",
    ":",
    " ",
    "nan",
    "1e999",
    "-",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    "\r",
]
PIECES += [
    "\0",
    "é",
    "%",
    "/",
    "1",
    "0.5",
    "step",
    "run",
    "seed",
    " - ",
    "inf",
    "value",
    "metric",
    "error",
    "train",
    "\t",
    "ppl",
]


@settings(deadline=None, suppress_health_check=SLOW, max_examples=150, derandomize=True)
@given(content=st.binary(max_size=300), suffix=st.sampled_from(SUFFIXES))
def test_random_bytes(tmp_path: Path, content: bytes, suffix: str) -> None:
    expect_curves_or_a_sentence(file(tmp_path, f"log{suffix}", content))


@settings(deadline=None, suppress_health_check=SLOW, max_examples=400, derandomize=True)
@given(content=st.lists(st.sampled_from(PIECES), max_size=40).map("".join), suffix=st.sampled_from(SUFFIXES))
@example(content="loss\0,acc\n1,2\n", suffix=".csv")
def test_random_words(tmp_path: Path, content: str, suffix: str) -> None:
    expect_curves_or_a_sentence(file(tmp_path, f"log{suffix}", content))


WHOLE = [
    CSV,
    '{"log_history": [{"loss": 0.5, "step": 10}, {"eval_loss": 0.6, "step": 10}]}',
    '{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n',
    "Epoch 1/2\n9/9 [==] - 1s 5ms/step - loss: 0.5 - acc: 0.5\n",
    "epoch train_loss valid_loss\n1 0.5 0.5\n",
    "epoch,phase,loss\n1,train,1\n1,val,2\n",
    "run,seed,name,step,loss\n1,2,a,1,0.5\n",
    '"Step","a - val_loss"\n1,0.5\n',
]


@settings(deadline=None, suppress_health_check=SLOW, max_examples=300, derandomize=True)
@given(
    whole=st.sampled_from(WHOLE),
    place=st.floats(0, 1),
    cut=st.integers(0, 5),
    put=st.binary(max_size=4),
    suffix=st.sampled_from(SUFFIXES),
)
def test_damaged_logs(tmp_path: Path, whole: str, place: float, cut: int, put: bytes, suffix: str) -> None:
    content = whole.encode()
    at = int(place * len(content))
    expect_curves_or_a_sentence(file(tmp_path, f"log{suffix}", content[:at] + put + content[at + cut :]))


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["loss", "val_loss", "acc", "step", "run", "history", "1", "a"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=SLOW, max_examples=300, derandomize=True)
@given(value=VALUES)
def test_any_values(tmp_path: Path, value: object) -> None:
    expect_curves_or_a_sentence(file(tmp_path, "log.json", json.dumps(value)))
    said = None
    try:
        expect_curves(read(value))
    except RidgelineError as error:
        said = str(error)
    expect_one_sentence(said)
