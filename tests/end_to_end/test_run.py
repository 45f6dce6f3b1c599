"""`ridgeline run`: a run folder, a second run that trains nothing, growth, plan and recipes."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ridgeline import Results, Study, load_study
from ridgeline.recipes import PROFILES, RECIPES
from ridgeline.study import parse_yaml
from tests.end_to_end.commands import TINY, Cli, tables, write_study


def test_packs_do_not_load_torchs_compiler(tmp_path: Path) -> None:
    """It would take 1.5 s of each run, and of each of its processes."""
    spec = write_study(tmp_path / "tiny.yaml")
    asks = "import atexit, sys\natexit.register(lambda: print('compiler', 'torch._dynamo' in sys.modules))\n"
    code = f"{asks}from ridgeline.cli import main\nmain()"
    command = [sys.executable, "-c", code, "run", spec, "--engine", "lanes", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "compiler False"


def test_a_run_fills_its_folder_is_not_repeated_and_grows(cli: Cli, tmp_path: Path) -> None:
    spec, run = write_study(tmp_path / "tiny.yaml"), tmp_path / "out"
    first = cli("run", spec, "--out", str(run))
    assert (first.code, first.err) == (0, "")
    for name in ("study.yaml", "plan.json", "report.html", "results.json", "figures", "predictions.parquet"):
        assert (run / name).exists(), name
    assert not (run / "parts").exists()
    assert load_study(run / "study.yaml").spec == load_study(spec).spec
    trials, curves = tables(run)
    assert trials.select("arm", "seed").rows() == [
        (f"strength={s}", seed) for s in ("0", "0.01", "0.1") for seed in (0, 1)
    ]
    assert trials["regularization.strength"].to_list() == [0.0, 0.0, 0.01, 0.01, 0.1, 0.1]
    assert set(trials["status"]) == {"done"}
    assert curves["trial_id"].unique(maintain_order=True).to_list() == trials["trial_id"].to_list()
    assert sorted(p.stem for p in (run / "weights").iterdir()) == sorted(trials["trial_id"])
    assert pl.read_parquet_metadata(run / "trials.parquet").keys() >= {"ridgeline", "torch", "device"}

    stored = {path: path.read_bytes() for path in run.glob("*.parquet")}
    second = cli("run", spec, "--out", str(run))
    assert second.code == 0
    assert "All 6 trials were done already" in second.out
    assert {path: path.read_bytes() for path in run.glob("*.parquet")} == stored

    third = cli("run", spec, "--out", str(run), "--seeds", "3")
    assert third.code == 0
    grown, _ = tables(run)
    assert len(grown) == 9
    assert grown.filter(pl.col("seed") < 2).equals(trials)
    assert json.loads((run / "results.json").read_text())["arms"][0]["n_seeds"] == 3

    fewer = cli("run", spec, "--out", str(run))
    assert fewer.code == 2
    assert "3 seeds" in fewer.sentence()
    assert tables(run)[0].equals(grown)


def test_what_is_printed_has_the_answer_last_and_nothing_of_a_terminal(cli: Cli, tmp_path: Path) -> None:
    said = cli("run", write_study(tmp_path / "tiny.yaml", seeds=1))
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert f"Report: {Path('runs') / 'tiny' / 'report.html'}" in said.out
    answer = Results.open(tmp_path / "runs" / "tiny").answer()[0]
    assert " ".join(said.out.split()).endswith(" ".join(answer.split()))


def test_identical_programs_run_once_and_show_in_both_arms(cli: Cli, tmp_path: Path) -> None:
    arms = {"none": {}, "l1 at 0": {"regularization.penalty": "l1"}, "l2": {"regularization.strength": 0.1}}
    spec = write_study(tmp_path / "tiny.yaml", vary=None, arms=arms)
    assert cli("run", spec, "--out", "out").code == 0
    trials, curves = tables(tmp_path / "out")
    assert trials["arm"].to_list() == ["none", "none", "l1 at 0", "l1 at 0", "l2", "l2"]
    assert curves["trial_id"].n_unique() == 4
    values = trials.drop("arm", "regularization.penalty")
    assert values[:2].equals(values[2:4])


def test_another_study_is_refused_by_the_key_that_differs(cli: Cli, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "tiny.yaml", seeds=1)
    assert cli("run", spec, "--out", "out").code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")}
    other = cli("run", spec, "--out", "out", "--set", "train.lr=0.02")
    assert other.code == 2
    assert "train.lr is 0.01 there and 0.02 here" in other.sentence()
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.*")} == before


def test_a_folder_of_other_things_or_a_file_is_no_run_folder(cli: Cli, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "tiny.yaml")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    assert "cat.png" in cli("run", spec, "--out", "photos").sentence()
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.png"]
    said = cli("run", spec, "--out", spec)
    assert said.code == 2
    assert "is a file" in said.sentence()


@pytest.mark.parametrize("command", [("plan",), ("run", "--dry-run")])
def test_a_plan_shows_the_arms_and_writes_nothing(cli: Cli, tmp_path: Path, command: tuple[str, ...]) -> None:
    spec = write_study(tmp_path / "tiny.yaml")
    said = cli(*command, spec, "--seeds", "4", "--set", "train.lr=1e-3")
    assert (said.code, said.err) == (0, "")
    assert "tiny: 12 trials, 3 arms" in said.out
    assert "strength=0.01" in said.out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_recipes_are_listed_and_shown_as_studies(cli: Cli, tmp_path: Path) -> None:
    assert [line.split()[0] for line in cli("recipes").out.splitlines()] == list(RECIPES)
    for name, recipe in RECIPES.items():
        for profile in PROFILES:
            said = cli("recipes", name, "--spec", "--profile", profile)
            assert said.code == 0
            assert Study(**parse_yaml(said.out, name)).trials() == recipe.study(profile).trials()
        shown = " ".join(cli("recipes", name).out.split())
        assert recipe.summary in shown
        assert all(claim.number in shown for claim in recipe.claims)


def test_the_report_is_written_anew(cli: Cli, tmp_path: Path) -> None:
    assert cli("run", write_study(tmp_path / "tiny.yaml", seeds=1), "--out", "out").code == 0
    (tmp_path / "out" / "report.html").unlink()
    assert cli("report", "out").code == 0
    assert (tmp_path / "out" / "report.html").is_file()
    (tmp_path / "out" / "report.html").unlink()
    again = cli("run", str(tmp_path / "tiny.yaml"), "--out", "out", "--seeds", "1")
    assert again.code == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_the_python_way_gives_the_same_tables(cli: Cli, tmp_path: Path) -> None:
    raw = {**TINY, "seeds": 1}
    assert cli("run", write_study(tmp_path / "tiny.yaml", seeds=1), "--out", "out").code == 0
    results = Study(**raw).run(tmp_path / "python")
    ours, theirs = tables(tmp_path / "python"), tables(tmp_path / "out")
    assert ours[0].equals(theirs[0])
    assert ours[1].equals(theirs[1])
    assert results.curves.equals(ours[1])
