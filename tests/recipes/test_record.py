"""The record: pages and README's table are what docs/make_record.py makes of it."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ridgeline.recipes import RECIPES
from ridgeline.study import load_study

ROOT = Path(__file__).parents[2]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_record", ROOT / "docs" / "make_record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_record"] = module
    spec.loader.exec_module(module)
    return module


MAKER = load()
RECORDS: list[dict[str, Any]] = MAKER.records()


def test_something_is_on_record() -> None:
    assert RECORDS


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["recipe"])
def test_a_page_is_what_its_record_makes(record: dict[str, Any]) -> None:
    page = ROOT / "docs" / "experiments" / f"{record['recipe']}.md"
    assert page.read_text(encoding="utf-8") == MAKER.page(record)
    for figure in record["figures"]:
        assert (page.parent / f"{record['recipe']}-{figure['name']}.png").is_file()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["recipe"])
def test_a_record_judges_the_claims_of_its_recipe(record: dict[str, Any]) -> None:
    claims = RECIPES[record["recipe"]].claims
    assert [(c.number, c.text, c.rule) for c in claims] == [
        (row["number"], row["claim"], row["rule"]) for row in record["claims"]
    ]
    assert record["profile"] == "full"


def test_the_readme_has_the_table_of_all_claims() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert MAKER.with_table(readme, RECORDS) == readme
    assert all(f"[{row['number']}]" in readme for record in RECORDS for row in record["claims"])


def test_a_quick_run_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "claims.json").write_text(json.dumps({"profile": "quick"}))
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(SystemExit, match="the record takes full ones"):
        MAKER.keep(tmp_path)


def test_a_run_with_fewer_seeds_is_judged_when_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--seeds` leaves the claims to the record, whose page names the seeds and the command."""
    monkeypatch.setattr(MAKER, "RECORD", tmp_path / "record")
    full = RECIPES["line-weight-decay"].study("full")
    full.with_changes({"seeds": 1}).run(tmp_path / "run")
    MAKER.keep(tmp_path / "run")
    (record,) = MAKER.records()
    outcomes = {row["number"]: row["outcome"] for row in record["claims"]}
    assert outcomes["S1-1b"] == "undecided"  # below 5 seeds
    assert outcomes["S1-2"] == "reproduced"
    page = MAKER.page(record)
    assert "Made by `ridgeline run line-weight-decay --profile full --seeds 1` and" in page
    assert "5 trials, 1 seed of the 30 that the recipe asks for" in page
    assert "S1-1b" in (tmp_path / "run" / "report.html").read_text()
    (tmp_path / "run" / "trials.parquet").touch()
    (tmp_path / "run" / "claims.json").write_text("{}")
    os.utime(tmp_path / "run" / "claims.json", ns=(0, 0))
    assert (
        MAKER.taken(tmp_path / "run")["claims"] == record["claims"]
    )  # judged anew: claims older than the trials


def test_what_is_no_full_run_is_not_judged(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        "name: line-weight-decay\ndata: {name: digits, n_train: 60}\nmodel: {name: mlp, hidden: [4]}\n"
        "train: {lr: 0.01, steps: 2}\n"
    )
    load_study(tmp_path / "tiny.yaml").run(tmp_path / "run")
    with pytest.raises(SystemExit, match="no full run of a recipe"):
        MAKER.keep(tmp_path / "run")
    assert not (tmp_path / "run" / "claims.json").exists()
