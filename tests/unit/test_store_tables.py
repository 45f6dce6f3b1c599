"""Tables: parts taken in, in order, and never lost."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from ridgeline import RidgelineError
from ridgeline.store import consolidate, done_trials, finished_parts, read_table
from tests.unit.stored_parts import FACTS, layout, part

ORDER = layout(("b", "x", 0), ("a", "x", 1), ("b", "y", 0), ("c", "y", 1))


def rows(run: Path) -> list[tuple[str, str, int]]:
    """(trial_id, arm, seed) of trials.parquet, in order."""
    return read_table(run, "trials").select("trial_id", "arm", "seed").rows()


def test_a_trial_in_two_arms_has_two_rows_and_one_curve(tmp_path: Path) -> None:
    for name in "abc":
        part(tmp_path, name)
    consolidate(tmp_path, ORDER)
    assert rows(tmp_path) == [("b", "x", 0), ("a", "x", 1), ("b", "y", 0), ("c", "y", 1)]
    assert read_table(tmp_path, "curves")["trial_id"].to_list() == ["b", "b", "a", "a", "c", "c"]
    assert read_table(tmp_path, "curves")["step"].to_list() == [0, 5] * 3
    assert sorted(p.name for p in (tmp_path / "weights").iterdir()) == [f"{n}.safetensors" for n in "abc"]
    assert not (tmp_path / "parts").exists()
    assert done_trials(tmp_path) == {"a", "b", "c"}


def test_provenance_is_inside_every_table(tmp_path: Path) -> None:
    part(tmp_path, "a")
    consolidate(tmp_path, ORDER)
    for name in ("trials", "curves", "predictions", "audit"):
        assert FACTS.items() <= pl.read_parquet_metadata(tmp_path / f"{name}.parquet").items()


def test_tables_do_not_depend_on_the_order_in_which_trials_finished(tmp_path: Path) -> None:
    once, grown = tmp_path / "once", tmp_path / "grown"
    for name in "abc":
        part(once, name)
    consolidate(once, ORDER)
    for name in "cab":
        part(grown, name)
        consolidate(grown, ORDER)
        consolidate(grown, ORDER)
    for table in ("trials", "curves", "predictions", "audit"):
        assert read_table(grown, table).equals(read_table(once, table))


def test_more_seeds_add_rows_at_their_place(tmp_path: Path) -> None:
    small = layout(("a", "x", 0), ("b", "y", 0))
    large = layout(("a", "x", 0), ("c", "x", 1), ("b", "y", 0), ("d", "y", 1))
    for name in "ab":
        part(tmp_path, name)
    consolidate(tmp_path, small)
    for name in "dc":
        part(tmp_path, name)
    consolidate(tmp_path, large)
    assert rows(tmp_path) == list(large.rows())


@pytest.mark.parametrize("killed_at", ["replace", "weights", "rename", "rmtree"])
def test_a_kill_while_parts_are_taken_in_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    class Killed(BaseException):
        pass

    whole, hit = tmp_path / "whole", tmp_path / "hit"
    for run in (whole, hit):
        part(run, "a")
        consolidate(run, ORDER)
        for name in "bc":
            part(run, name, loss=0.25)
    consolidate(whole, ORDER)

    replace, rename, rmtree = Path.replace, Path.rename, shutil.rmtree
    count = 0

    def replace_some(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if (killed_at, count) in (("replace", 2), ("weights", 6)):  # four tables, then two weights
            raise Killed
        return replace(self, target)

    def rename_not(self: Path, target: Path) -> Path:
        if killed_at == "rename":
            raise Killed
        return rename(self, target)

    def rmtree_half(path: Path) -> None:
        if killed_at == "rmtree":
            (next(path.iterdir()) / "trials.parquet").unlink()
            raise Killed
        rmtree(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        patch.setattr(Path, "rename", rename_not)
        patch.setattr("ridgeline.store._tables.shutil.rmtree", rmtree_half)
        with pytest.raises(Killed):
            consolidate(hit, ORDER)
    assert done_trials(hit) == {"a", "b", "c"}
    consolidate(hit, ORDER)
    for table in ("trials", "curves", "predictions", "audit"):
        assert read_table(hit, table).equals(read_table(whole, table))
    names = sorted(path.name for path in hit.rglob("*"))
    assert names == sorted(path.name for path in whole.rglob("*"))


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    part(tmp_path, "a")
    consolidate(tmp_path, ORDER)
    path = tmp_path / "curves.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RidgelineError, match=r"curves\.parquet cannot be read"):
        read_table(tmp_path, "curves")
    part(tmp_path, "b")
    with pytest.raises(RidgelineError, match=r"curves\.parquet cannot be read"):
        consolidate(tmp_path, ORDER)
    assert finished_parts(tmp_path) == ["b"]
    with pytest.raises(RidgelineError, match=r"holds no audit\.parquet"):
        read_table(tmp_path / "parts", "audit")


def test_a_damaged_part_is_named_and_the_tables_stay(tmp_path: Path) -> None:
    part(tmp_path, "a")
    consolidate(tmp_path, ORDER)
    part(tmp_path, "b")
    (tmp_path / "parts" / "b" / "trials.parquet").write_bytes(b"PAR1")
    with pytest.raises(RidgelineError, match=r"parts/b/trials\.parquet cannot be read"):
        consolidate(tmp_path, ORDER)
    assert rows(tmp_path) == [("a", "x", 1)]
