"""`ridgeline run` on a table of one's own, and on MNIST."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.end_to_end.commands import Cli, tables, write_study


def write_rows(path: Path, task: str) -> None:
    """A table of 80 rows whose target follows from its inputs."""
    x = np.random.default_rng(0).normal(size=(80, 3))
    score = x[:, 0] + 2 * x[:, 1]
    y = np.where(score > 0, "yes", "no") if task == "classification" else score + 0.5
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "answer": y}).write_csv(path)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_table_of_ones_own(cli: Cli, tmp_path: Path, task: str) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    write_rows(home / "rows.csv", task)
    spec = write_study(
        home / "mine.yaml",
        name="mine",
        data={"file": "rows.csv", "target": "answer"},
        train={"lr": 0.05, "epochs": 20, "batch_size": 16},
        vary={"regularization.strength": [0.0, 0.01]},
    )
    said = cli("run", spec)
    assert (said.code, said.err) == (0, "")
    trials, curves = tables(tmp_path / "runs" / "mine")
    assert set(trials["task"]) == {task}
    assert trials["n_val"].to_list() == [16] * 4
    assert (trials["final_val_loss"] < 0.5 * trials["null_val_loss"]).all()
    assert curves["epoch"].max() == 20.0
    assert (tmp_path / "runs" / "mine" / "report.html").is_file()


@pytest.mark.parametrize(
    "model",
    [{"name": "mlp", "hidden": [32], "dropout": 0.1}, {"name": "cnn", "channels": [4, 8], "hidden": 16}],
)
def test_mnist(cli: Cli, tmp_path: Path, data_dir: Path, model: dict[str, Any]) -> None:
    spec = write_study(
        tmp_path / "mnist.yaml",
        data={"name": "mnist", "n_train": 500},
        model=model,
        train={"lr": 3e-3, "steps": 40, "batch_size": 50},
        evaluate={"every": 40},
        vary=None,
        seeds=1,
    )
    said = cli("run", spec, "--out", "out", "--data-dir", str(data_dir))
    assert (said.code, said.err) == (0, "")
    (row,) = pl.read_parquet(tmp_path / "out" / "trials.parquet").to_dicts()
    assert (row["n_train"], row["n_val"], row["n_test"]) == (500, 5_000, 10_000)
    assert row["final_val_accuracy"] > 0.5


def test_mnist_that_is_not_there_says_how_to_get_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RIDGELINE_DATA", raising=False)
    monkeypatch.setattr("ridgeline.data._folder.cache_dir", lambda: tmp_path / "cache")
    spec = write_study(tmp_path / "mnist.yaml", data={"name": "mnist"})
    said = cli("run", spec, "--out", "out", "--data-dir", str(tmp_path / "none"))
    assert said.code == 2
    for word in ("ridgeline download mnist", "--data-dir", "RIDGELINE_DATA", str(tmp_path / "none")):
        assert word in said.sentence()
    assert not (tmp_path / "out").exists()
