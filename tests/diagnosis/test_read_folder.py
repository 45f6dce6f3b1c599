"""Folders and Parquet: Ridgeline's own runs, Lightning's versions, Hugging Face's checkpoints."""

import json
import sys
from pathlib import Path

import polars as pl
import pytest

import ridgeline
from ridgeline.diagnosis import read
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import file, one, points

STUDY = {
    "name": "tiny",
    "data": {"name": "digits", "n_train": 60},
    "model": {"name": "mlp", "hidden": [4]},
    "train": {"optimizer": "sgd", "lr": 0.1, "batch_size": 20, "steps": 6},
    "regularization": {"penalty": "l2", "strength": 0.0},
    "vary": {"regularization.strength": [0.0, 0.1]},
    "evaluate": {"every": 2},
    "seeds": 2,
}


def test_a_run_of_our_own(tmp_path: Path) -> None:
    results = ridgeline.Study(**STUDY).run(tmp_path / "run")
    for path in (tmp_path / "run", tmp_path / "run" / "curves.parquet"):
        found = read(path)
        wanted = [(row["arm"], str(row["seed"])) for row in results.trials.iter_rows(named=True)]
        assert [(h.arm, h.run) for h in found] == wanted
        for history, trial in zip(found, results.trials["trial_id"], strict=True):
            curve = results.curves.filter(pl.col("trial_id") == trial)
            for role in ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty", "lr"):
                rows = curve.filter(pl.col(role).is_not_null())
                assert history.curves[role].column == role
                assert points(history, role) == list(zip(rows["step"], rows[role], strict=True))
            assert history.unit == "step"


def test_a_trial_in_two_arms_is_read_twice(tmp_path: Path) -> None:
    pl.DataFrame({"trial_id": ["x", "y", "x"], "arm": ["a", "a", "b"], "seed": [0, 1, 0]}).write_parquet(
        tmp_path / "trials.parquet"
    )
    curves = {"trial_id": ["y", "x", "y", "x"], "step": [1, 1, 2, 2], "train_loss": [1.0, 2.0, 3.0, 4.0]}
    pl.DataFrame(curves).write_parquet(tmp_path / "curves.parquet")
    found = read(tmp_path)
    assert [(h.arm, h.run) for h in found] == [("a", "0"), ("a", "1"), ("b", "0")]
    assert points(found[2], "train_loss") == [(1.0, 2.0), (2.0, 4.0)]


@pytest.mark.parametrize("name", ["log.parquet", "log.pq"])
def test_parquet(tmp_path: Path, name: str) -> None:
    pl.DataFrame({"epoch": [1, 2], "loss": [0.5, None], "val_loss": [0.6, float("nan")]}).write_parquet(
        tmp_path / name
    )
    history = one(tmp_path / name)
    assert points(history, "train_loss") == [(1.0, 0.5)]
    assert len(history.curves["val_loss"]) == 2


def test_damaged_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"loss": [0.5] * 100}).write_parquet(tmp_path / "log.parquet")
    whole = (tmp_path / "log.parquet").read_bytes()
    for content in (whole[:-20], whole[:30], b"PAR1", whole[:40] + b"\xff" * 40 + whole[80:]):
        with pytest.raises(RidgelineError, match="looked for a Parquet table"):
            read(file(tmp_path, "broken.parquet", content))


def test_versions_of_a_logger(tmp_path: Path) -> None:
    for version in (0, 2, 10):
        (tmp_path / f"version_{version}").mkdir()
        file(tmp_path, f"version_{version}/metrics.csv", f"step,train_loss\n1,{version}\n")
    found = read(tmp_path)
    assert [h.run for h in found] == ["version_0", "version_2", "version_10"]
    assert [h.curves["train_loss"].values[0] for h in found] == [0, 2, 10]
    assert one(tmp_path / "version_2").run == "version_2"


def test_the_last_checkpoint_holds_the_history(tmp_path: Path) -> None:
    for step in (5, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        rows = [{"loss": 1 / s, "step": s} for s in range(1, step + 1)]
        file(tmp_path, f"checkpoint-{step}/trainer_state.json", json.dumps({"log_history": rows}))
    assert len(one(tmp_path).curves["train_loss"]) == 10


def test_folders_without_a_log(tmp_path: Path) -> None:
    with pytest.raises(
        RidgelineError, match=r"is a folder; looked for .*, found nothing; give one of its files"
    ):
        read(tmp_path)
    file(tmp_path, "notes.md", "loss 0.5")
    with pytest.raises(RidgelineError, match="found notes"):
        read(tmp_path)


def test_tensorboard_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    path = file(tmp_path, "events.out.tfevents.1.host", b"\x00\x01")
    for source in (path, tmp_path):
        with pytest.raises(
            RidgelineError, match=r"needs tensorboard: pip install 'ridgeline\[tensorboard\]'"
        ):
            read(source)
