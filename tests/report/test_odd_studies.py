"""Studies of another shape than strength × seed: their arms, baseline and labels."""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import ridgeline
from ridgeline.report import Results, terminal_table
from tests.report.conftest import tiny_study


def results(tmp_path: Path, **changes: Any) -> Results:
    """Those of a run of a few updates."""
    train = {"lr": 0.01, "steps": 4}
    return tiny_study(train=train, evaluate={}, **changes).run(tmp_path / "run")


def test_labels_are_shown_as_they_are_written(tmp_path: Path) -> None:
    found = results(tmp_path, vary=None, arms={"[/x]": {}, "[bold]&": {"train.lr": 0.1}}, seeds=1)
    said = io.StringIO()
    Console(file=said, width=120).print(terminal_table(found.numbers()))
    assert "[/x]" in said.getvalue()
    assert "[bold]&" in said.getvalue()


def test_an_arm_that_sets_the_whole_section_is_described_in_words(tmp_path: Path) -> None:
    penalty = {"penalty": "l2", "strength": 0.1}
    arms = {"none": {"regularization": None}, "two": {"regularization": penalty}}
    found = results(tmp_path, vary=None, arms=arms, seeds=1).numbers()
    assert [arm["regularization"] for arm in found["arms"]] == ["", "L2 at 0.1"]


@pytest.mark.parametrize("rates", [[0.0, 0.9], [0.9, 0.0]])
def test_without_any_penalty_the_first_arm_is_the_baseline(tmp_path: Path, rates: list[float]) -> None:
    found = results(tmp_path, regularization=None, vary={"model.dropout": rates}, seeds=1).numbers()
    assert found["baseline"] == 0


def test_a_page_older_than_its_tables_counts_as_none(tmp_path: Path) -> None:
    found = results(tmp_path, vary=None, seeds=1)
    assert not found.reported
    page = found.report()
    assert ridgeline.Results.open(found.path).reported
    os.utime(page, ns=(0, 0))  # a kill came after the tables were written and before the page was
    assert not found.reported


def test_long_labels_take_no_number_off_the_table(tmp_path: Path) -> None:
    label = "a label of many words " * 5
    found = results(tmp_path, vary=None, arms={label.strip(): {}, "b": {"train.lr": 0.1}}, seeds=3)
    said = io.StringIO()
    Console(file=said, width=80).print(terminal_table(found.numbers()))
    assert "…" not in said.getvalue()
