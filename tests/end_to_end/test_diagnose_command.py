"""`ridgeline diagnose`: verdicts of logs and of run folders, in words, as JSON, and one sentence where it cannot."""

import csv
import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ridgeline
from ridgeline.diagnosis import KINDS
from tests.end_to_end.commands import ROOT, Cli, Said, write_study

Row = dict[str, Any]
PATIENCE_S = 120.0  # only a hang takes this long


def curve(rise: float, points: int = 60, seed: int = 0, **extra: Any) -> list[Row]:
    """A validation loss that rises by so much from a third of the run on, while training falls; both flat for 0."""
    draw = random.Random(seed)
    rows = []
    for k in range(points):
        after = max(k - points / 3, 0.0) / (2 * points / 3)
        fall = 2.0 * 0.85**k
        rows.append(
            {
                **extra,
                "step": 10 * (k + 1),
                "train_loss": 0.3 + fall - 0.25 * bool(rise) * after + draw.gauss(0, 0.002),
                "val_loss": 0.35 + fall + rise * after + draw.gauss(0, 0.004),
            }
        )
    return rows


def write_rows(path: Path, rows: list[Row]) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return str(path)


def process(*args: str, cwd: Path, given: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
    """The command as a process of its own, with this on its standard input."""
    done = subprocess.run(
        [sys.executable, "-c", "from ridgeline.cli import main; main()", "diagnose", *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        input=given,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def answered(said: Said) -> str:
    assert (said.code, said.err) == (0, "")
    return said.out


def document(said: Said) -> Any:
    """The one JSON document on standard output; NaN is none."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(answered(said), parse_constant=refuse)


def test_a_log_gets_verdict_curve_evidence_and_advice(cli: Cli, tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.4))
    lines = answered(cli("diagnose", log)).splitlines()
    assert lines[0] == "log.csv"
    assert lines[1].startswith("overfitting by loss, the same in ")
    drawn = [line for line in lines if "│" in line]
    assert len(drawn) == 8
    assert max(len(line.partition("│")[2]) for line in drawn) == 60
    assert all(line == line.rstrip() for line in lines)
    assert any(line.startswith("- validation loss rose") for line in lines)
    assert any(line.startswith("→ ") for line in lines)
    assert "step 10" in "\n".join(lines)


def test_a_flat_end_is_no_overfitting(cli: Cli, tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.0))
    (arm,) = document(cli("diagnose", log, "--json"))["arms"]
    assert arm["verdict"]["kind"] == "well_fitted"


def test_json_is_one_document_that_says_what_python_says(cli: Cli, tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.4))
    found = document(cli("diagnose", log, "--json", "--null-loss", "2.3", "--delta", "0.05"))
    (arm,) = found["arms"]
    assert found["studies"] == []
    assert arm["source"] == [log]
    assert arm["columns"] == {"train_loss": "train_loss", "val_loss": "val_loss"}
    verdict = ridgeline.diagnose(log, null_loss=2.3, delta=0.05)
    assert arm["verdict"]["kind"] == verdict.kind == "overfitting"
    assert arm["verdict"]["confidence"] == verdict.confidence
    assert arm["verdict"]["evidence"] == list(verdict.evidence)
    assert arm["verdict"]["delta"] == 0.05


def test_without_resampling_there_is_no_confidence(cli: Cli, tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.4))
    (arm,) = document(cli("diagnose", log, "--json", "--no-resample"))["arms"]
    assert arm["verdict"]["confidence"] is None
    assert "resamples" not in answered(cli("diagnose", log, "--no-resample"))


def test_files_are_arms_and_those_of_one_name_keep_their_paths(cli: Cli, tmp_path: Path) -> None:
    for name, rise in (("a/log.csv", 0.4), ("b/log.csv", 0.0), ("c.csv", 0.4)):
        write_rows(tmp_path / name, curve(rise))
    found = document(cli("diagnose", "a/log.csv", "b/log.csv", "c.csv", "--json", "--no-resample"))
    kinds = {arm["arm"]: arm["verdict"]["kind"] for arm in found["arms"]}
    assert kinds == {"a/log.csv": "overfitting", "b/log.csv": "well_fitted", "c.csv": "overfitting"}


def test_arms_and_seeds_inside_a_log_are_kept_apart(cli: Cli, tmp_path: Path) -> None:
    rows = [
        row
        for rise, arm in ((0.4, "plain"), (0.0, "l2"))
        for seed in range(3)
        for row in curve(rise, seed=seed, arm=arm)
    ]
    for place, row in enumerate(rows):
        row["seed"] = place // 60 % 3
    log = write_rows(tmp_path / "log.csv", rows)
    found = document(cli("diagnose", log, "--json"))
    assert [(a["arm"], len(a["runs"]), a["verdict"]["kind"]) for a in found["arms"]] == [
        ("plain", 3, "overfitting"),
        ("l2", 3, "well_fitted"),
    ]
    assert "plain, 3 runs" in answered(cli("diagnose", log, "--no-resample"))


def test_more_than_twelve_arms_get_a_line_each(cli: Cli, tmp_path: Path) -> None:
    rows = [row for k in range(13) for row in curve(0.4 * (k % 2), points=30, arm=f"arm {k}")]
    out = answered(cli("diagnose", write_rows(tmp_path / "log.csv", rows), "--no-resample"))
    assert "│" not in out
    for k in range(13):
        (line,) = [line for line in out.splitlines() if f"arm {k} " in line]
        assert ("overfitting" in line) == bool(k % 2)
    assert "13 arms: 6 overfitting, 7 well fitted" in out


def test_columns_of_unusual_names_are_given(cli: Cli, tmp_path: Path) -> None:
    rows = [{"n": r["step"], "fit": r["train_loss"], "dev nll": r["val_loss"]} for r in curve(0.4)]
    log = write_rows(tmp_path / "log.csv", rows)
    args = ("--columns", "train_loss=fit", "--columns", "val_loss=dev nll", "--json", "--no-resample")
    (arm,) = document(cli("diagnose", log, *args))["arms"]
    assert arm["columns"] == {"train_loss": "fit", "val_loss": "dev nll"}
    assert arm["verdict"]["kind"] == "overfitting"


@pytest.mark.parametrize("change", [lambda v: float("nan"), lambda v: 0.5])
def test_whatever_the_verdict_the_exit_status_is_0(
    cli: Cli, tmp_path: Path, change: Callable[[float], float]
) -> None:
    """Not a number from halfway on; constant."""
    rows = curve(0.0)
    for row in rows[30:]:
        row["train_loss"] = row["val_loss"] = change(row["val_loss"])
    for row in rows[:30]:
        if change(0.0) == 0.5:
            row["train_loss"] = row["val_loss"] = 0.5
    log = write_rows(tmp_path / "log.csv", rows)
    (arm,) = document(cli("diagnose", log, "--json", "--no-resample"))["arms"]
    assert arm["verdict"]["kind"] in KINDS
    assert answered(cli("diagnose", log, "--no-resample"))


def test_a_log_on_standard_input(tmp_path: Path) -> None:
    log = Path(write_rows(tmp_path / "log.csv", curve(0.4)))
    code, out, err = process("-", "--json", "--no-resample", cwd=tmp_path, given=log.read_bytes())
    assert (code, err) == (0, b"")
    (arm,) = json.loads(out)["arms"]
    assert (arm["arm"], arm["source"], arm["verdict"]["kind"]) == ("standard input", ["-"], "overfitting")


def test_where_the_terminal_speaks_ascii_so_do_we(tmp_path: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.4))
    for args in ((log,), (log, "--json")):
        code, out, err = process(*args, cwd=tmp_path, PYTHONIOENCODING="ascii")
        assert (code, err) == (0, b"")
        assert out.isascii()
    code, out, _ = process(log, "--no-resample", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert sum(b"|" in line for line in out.splitlines()) == 8
    assert b"# validation loss   . training loss" in out
    assert b"?" not in out


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    spec = write_study(folder / "tiny.yaml", seeds=3, evaluate={"every": 2})
    ridgeline.load_study(spec).run(folder / "run")
    return folder / "run"


def test_a_run_folder_is_judged_as_a_study_and_left_as_it_is(cli: Cli, run_folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")}
    found = document(cli("diagnose", str(run_folder), "--json", "--no-resample"))
    assert [arm["arm"] for arm in found["arms"]] == ["strength=0", "strength=0.01", "strength=0.1"]
    assert [len(arm["runs"]) for arm in found["arms"]] == [3, 3, 3]
    assert found["arms"][0]["relation"]["tested"] == 2
    assert found["arms"][0]["effect"] is None
    assert found["arms"][1]["effect"]["reference"] == 0
    (study,) = found["studies"]
    verdicts = ridgeline.Results.open(run_folder).verdicts()
    assert {a["arm"]: a["verdict"]["kind"] for a in found["arms"]} == {k: v.kind for k, v in verdicts.items()}
    out = answered(cli("diagnose", str(run_folder), "--no-resample"))
    assert " ".join(out.split()).endswith(" ".join(study["answer"][0].split()))
    assert {path: path.stat().st_mtime_ns for path in run_folder.rglob("*")} == before


def test_a_run_folder_beside_a_log(cli: Cli, tmp_path: Path, run_folder: Path) -> None:
    log = write_rows(tmp_path / "log.csv", curve(0.4))
    found = document(cli("diagnose", log, str(run_folder), "--json", "--no-resample", "--delta", "0.05"))
    assert [arm["arm"] for arm in found["arms"]][:2] == ["log.csv", "run: strength=0"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["absent.csv"], "absent.csv does not exist"),
        (["empty.csv"], "empty.csv"),
        (["bytes.csv"], "bytes.csv"),
        (["words.txt"], "words.txt"),
        (["head.csv"], "head.csv"),
        (["bad.json"], "bad.json"),
        (["folder"], "folder"),
        (["-", "-"], "standard input"),
        (["log.csv", "--columns", "val_loss"], "no role=name"),
        (["log.csv", "--columns", "val_los=x"], "did you mean 'val_loss'"),
        (["log.csv", "--columns", "val_loss=absent"], "absent"),
        (["log.csv", "--columns", "val_loss=step", "--columns", "val_loss=step"], "twice"),
        (["log.csv", "--format", "no such"], "no such"),
        (["log.csv", "--null-loss", "nan"], "--null-loss is nan"),
        (["log.csv", "--null-loss", "0"], "--null-loss is 0"),
        (["log.csv", "--delta", "-1"], "--delta is -1"),
        (["log.csv", "--classes", "1"], "--classes is 1"),
        (["log.csv", "--target", "2"], "--target is 2"),
        (["log.csv", "--classes", "many"], "--classes"),
        ([], "FILE"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(cli: Cli, tmp_path: Path, args: list[str], says: str) -> None:
    write_rows(tmp_path / "log.csv", curve(0.4))
    (tmp_path / "empty.csv").touch()
    (tmp_path / "bytes.csv").write_bytes(random.Random(0).randbytes(4096))
    (tmp_path / "words.txt").write_text("it was a dark and stormy night\n" * 5)
    (tmp_path / "head.csv").write_text("step,train_loss,val_loss\n")
    (tmp_path / "bad.json").write_text('{"loss": [1, 2')
    (tmp_path / "folder").mkdir()
    for more in ([], ["--json"]):
        said = cli("diagnose", *args, *more)
        assert (said.code, said.out) == (2, ""), said
        assert says in said.sentence()


def test_options_of_logs_have_no_effect_on_a_run_folder(cli: Cli, run_folder: Path) -> None:
    for args in (("--classes", "10"), ("--columns", "val_loss=x"), ("--delta", "0.1")):
        said = cli("diagnose", str(run_folder), *args)
        assert said.code == 2
        assert f"{args[0]} has no effect" in said.sentence()


@pytest.mark.parametrize("given", [b"", b"\x00\xff\xfe", b"nothing to see\n", b'{"a": '])
def test_hostile_standard_input_ends_a_real_process_with_2(tmp_path: Path, given: bytes) -> None:
    code, out, err = process("-", cwd=tmp_path, given=given)
    assert (code, out) == (2, b"")
    assert err.startswith(b"ridgeline: ")
    assert err.count(b"\n") == 1
    assert b"Traceback" not in err
    assert b"/tmp" not in err
