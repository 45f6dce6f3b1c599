"""The page as a reader gets it: self-contained, complete, honest about its limits."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from matplotlib.image import imread

import ridgeline
from tests.report.conftest import tiny_study


def text_of(run: Path) -> str:
    return re.sub(r"<[^>]+>", "", (run / "report.html").read_text())


def test_nothing_is_loaded_from_elsewhere(run: Path) -> None:
    page = (run / "report.html").read_text()
    assert not re.search(r"""(?:src|href)=["'](?!#)""", re.sub(r'xlink:href="#', "", page))
    assert "<script" not in page
    assert "@import" not in page


def test_figures_are_pictures(run: Path) -> None:
    names = {p.name for p in (run / "figures").iterdir()}
    assert names == {"curves.png", "response.png", "penalty.png"}
    for path in (run / "figures").iterdir():
        picture = imread(path)
        assert picture.shape[0] > 300
        assert picture[..., :3].std() > 0.05  # something is drawn
    assert (run / "report.html").read_text().count("<svg") == 3


def test_the_same_tables_give_the_same_page(run: Path) -> None:
    before = {p: p.read_bytes() for p in (run / "report.html", run / "results.json")}
    ridgeline.Results.open(run).report()
    assert all(p.read_bytes() == content for p, content in before.items())


def test_audit_and_provenance(run: Path) -> None:
    text = text_of(run)
    for part in ("hidden1.weight", "weight of Linear", "hidden1.bias", "torch 2", "flush_denormal True"):
        assert part in text
    assert "30% of the training labels were exchanged" in text


def test_own_best_learning_rate(run: Path) -> None:
    page = (run / "report.html").read_text()
    table = page[page.index('id="own-best"') :]
    assert table[: table.index("</table>")].count("<tr>") == 4  # head and three strengths


def test_results_api(run: Path) -> None:
    results = ridgeline.Results.open(run)
    summary = results.summary()
    assert summary["arm"].to_list() == results.trials["arm"].unique(maintain_order=True).to_list()
    arms = summary["arm"].to_list()
    there, back = results.compare(arms[0], arms[1]), results.compare(arms[1], arms[0])
    assert there["val_loss"].mean == pytest.approx(-back["val_loss"].mean)
    means = dict(zip(summary["arm"], summary["val_loss"], strict=True))
    assert there["val_loss"].mean == pytest.approx(means[arms[1]] - means[arms[0]], abs=1e-6)
    with pytest.raises(ridgeline.RidgelineError, match="no arm is called 'strength=0'"):
        results.compare("strength=0", arms[0])


@pytest.mark.parametrize("problem", ["missing", "empty", "garbage"])
def test_what_is_no_run_is_refused(tmp_path: Path, problem: str) -> None:
    folder = tmp_path / "x"
    if problem != "missing":
        folder.mkdir()
    if problem == "garbage":
        (folder / "trials.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(ridgeline.RidgelineError, match=r"x"):
        ridgeline.Results.open(folder)


def reported(out: Path, study: ridgeline.Study) -> Any:
    study.run(out).report()
    return json.loads((out / "results.json").read_text())


def test_two_seeds_have_no_interval(tmp_path: Path) -> None:
    study = tiny_study(seeds=2, vary={"regularization.strength": [0.0, 0.1]})
    results = reported(tmp_path / "r", study)
    assert all(arm["final"]["val_loss"]["low"] is None for arm in results["arms"])
    assert "use 3 or more" in results["answer"][0]
    assert results["arms"][1]["versus"]["val_loss"]["p_holm"] is None


def test_a_diverged_arm_has_no_mean_and_is_not_chosen(tmp_path: Path) -> None:
    study = tiny_study(
        arms={"sound": {}, "wild": {"train.lr": 1e30}}, vary=None, regularization=None, train=_SGD
    )
    results = reported(tmp_path / "r", study)
    wild = results["arms"][1]
    assert (wild["n_diverged"], wild["final"]) == (3, {})
    assert results["chosen"]["val_loss"] == 0
    assert "3 of 3 diverged" in text_of(tmp_path / "r")


def test_nothing_but_diverged_arms(tmp_path: Path) -> None:
    study = tiny_study(vary=None, regularization=None, train={**_SGD, "lr": 1e30})
    results = reported(tmp_path / "r", study)
    assert results["baseline"] is None
    assert "lower the learning rate" in results["answer"][0]


_SGD = {"optimizer": "sgd", "lr": 0.1, "steps": 20}


def test_regression_has_no_accuracy_and_no_test_is_said(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [i / 40 for i in range(80)], "y": [0.3 * i % 1.7 for i in range(80)]})
    frame.write_csv(tmp_path / "t.csv")
    study = tiny_study(
        data={"file": str(tmp_path / "t.csv"), "target": "y"}, vary={"regularization.strength": [0.0, 1.0]}
    )
    results = reported(tmp_path / "r", study)
    assert results["metrics"] == ["val_loss"]
    assert "accuracy" not in text_of(tmp_path / "r").replace("chosen by validation loss and accuracy", "")
    assert any("no test set" in note for note in results["notes"])
