"""A table that changed under a run, and a run killed before its first tables."""

from pathlib import Path

import polars as pl
import pytest

import ridgeline


def study(table: Path) -> ridgeline.Study:
    return ridgeline.Study(
        name="own",
        data={"file": str(table), "target": "y"},
        model={"name": "linear"},
        train={"lr": 0.01, "steps": 4},
        seeds=3,
    )


def write(table: Path, shift: float) -> None:
    rows = [f"{i / 7 + shift},{i % 2}" for i in range(40)]
    table.write_text("x,y\n" + "\n".join(rows) + "\n")


def test_a_changed_table_is_refused_and_earlier_results_stay(tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "run"
    write(table, 0.0)
    study(table).run(out)
    before = (out / "trials.parquet").read_bytes()
    write(table, 1.0)
    with pytest.raises(ridgeline.RidgelineError, match=r"t\.csv has changed since .* restore it"):
        study(table).run(out)
    assert (out / "trials.parquet").read_bytes() == before
    assert len(list((out / "weights").iterdir())) == 3
    write(table, 0.0)
    study(table).run(out)
    assert (out / "trials.parquet").read_bytes() == before


def test_parts_without_tables_are_explained(tmp_path: Path) -> None:
    (tmp_path / "parts" / "0123456789abcdef").mkdir(parents=True)
    with pytest.raises(ridgeline.RidgelineError, match="run its study again"):
        ridgeline.Results.open(tmp_path)


def test_no_better_than_the_null_predictor_is_said(tmp_path: Path) -> None:
    table = tmp_path / "noise.csv"
    rows = [f"{(i * 37) % 101},{(i * 53) % 89 * 1e9 + 0.5}" for i in range(60)]
    table.write_text("x,y\n" + "\n".join(rows) + "\n")
    results = study(table).run(tmp_path / "run")
    results.report()
    assert "no better than the null predictor" in results.answer()[0]
    assert "e+" in results.answer()[0]


def test_the_tables_carry_their_study_and_what_made_them(tmp_path: Path) -> None:
    table, out = tmp_path / "t.csv", tmp_path / "run"
    write(table, 0.0)
    own = study(table)
    own.run(out)
    for name in ("trials", "curves", "predictions", "audit"):
        facts = pl.read_parquet_metadata(out / f"{name}.parquet")
        assert facts["study"] == own.to_yaml() == (out / "study.yaml").read_text()
        assert {"torch", "processor", "flush_denormal", "threads"} <= set(facts)
