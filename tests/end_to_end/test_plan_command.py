"""`ridgeline plan` and `run --dry-run`: what a person reads of the plan, here by made-up paces."""

import json
from pathlib import Path
from typing import Any

import pytest

from ridgeline import Study
from ridgeline.recipes import RECIPES, Recipe
from ridgeline.study import Plan, _check
from tests.end_to_end.commands import TINY, Cli, write_study
from tests.engines.paces import Asked, paces

LANES = "tests.engines.test_lanes_in_studies"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A trial takes a second alone, and a tenth of one in a pack, which takes half a second itself."""
    return paces(monkeypatch, alone=1.0, fixed=0.5, a_lane=0.1)


def said(cli: Cli, *args: str) -> list[str]:
    """The lines of a command that went well."""
    found = cli(*args)
    assert (found.code, found.err) == (0, "")
    return found.out.splitlines()


def test_a_study_in_lanes(cli: Cli, tmp_path: Path, asked: Asked) -> None:
    spec = write_study(tmp_path / "tiny.yaml")
    lines = said(cli, "plan", spec)
    assert lines[0] == "tiny: 6 trials, 3 arms"
    assert lines[4:] == [
        "engine lanes on cpu, 1 process of 1 thread: 3 arms as lanes of packs, in this process: about 1.1 s, "
        "against 1.1 s for lanes, all threads",
        "  strength=0 and 2 more arms: lanes, at most 512 to a pack, every layer has a native lane layer; 1 s a "
        "trial alone, 0.18 s in a pack, measured here",
        "    solo: 6 s in one process, measured",
        "    lanes: 1.1 s in one process, packs of 2 and 6 lanes measured",
        "    lanes, 2 threads: 1.1 s in one process, packs of 2 and 6 lanes measured",
        "candidates:",
        "    solo, in this process      6 s",
        "    solo, one process a core   6 s",
        "  * lanes, in this process     1.1 s",
        "    lanes, one process a core  3.8 s",
        "    lanes, all threads         1.1 s",
    ]
    assert said(cli, "run", spec, "--dry-run") == lines
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_module_of_ones_own_runs_under_vmap(cli: Cli, tmp_path: Path, asked: Asked) -> None:
    spec = write_study(tmp_path / "tiny.yaml", model={"factory": f"{LANES}:Own"})
    (program,) = [line for line in said(cli, "plan", spec) if "at most" in line]
    assert "the model is of type Own, which runs under torch.func.vmap" in program


def test_what_cannot_be_a_lane_says_why(cli: Cli, tmp_path: Path, asked: Asked) -> None:
    arms: dict[str, Any] = {
        "plain": {},
        "nuclear": {"regularization": {"penalty": "nuclear", "strength": 0.1}},
        "drawing": {"model": {"factory": f"{LANES}:Drawing"}},
    }
    lines = said(cli, "plan", write_study(tmp_path / "tiny.yaml", vary=None, arms=arms, seeds=4))
    assert any(line.startswith("  plain: lanes, at most 512 to a pack, every layer") for line in lines)
    assert "  nuclear: solo, Nuclear has no form that keeps lanes apart" in lines
    assert any(line.startswith("  drawing: solo, it fails under torch.func.vmap") for line in lines)
    assert lines[4].startswith("engine lanes on cpu")
    assert "1 arm as lanes of packs, 2 one trial after another" in lines[4]


def test_the_engine_that_is_asked_for(cli: Cli, tmp_path: Path, asked: Asked) -> None:
    lines = said(cli, "plan", write_study(tmp_path / "tiny.yaml"), "--engine", "solo")
    assert not any("lanes," in line for line in lines)
    assert asked.packs == []
    assert any("solo is asked for" in line for line in lines)


def test_little_work_has_no_candidates(cli: Cli, tmp_path: Path) -> None:
    lines = said(cli, "plan", write_study(tmp_path / "tiny.yaml"))
    assert "too little for more processes" in lines[4]
    assert "every layer has a native lane layer" in lines[5]
    assert not any("candidates" in line for line in lines)


@pytest.mark.parametrize("engine", ["auto", "solo"])
def test_a_whole_recipe_says_its_time_from_the_plan_that_it_runs_by(
    engine: str, cli: Cli, tmp_path: Path, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planned once, by the engine that is asked for, and the time that is said is the plan's."""
    recipe = Recipe(name="little", summary="Six small trials.", study=lambda profile: Study(**TINY))
    monkeypatch.setitem(RECIPES, "little", recipe)
    planned: list[Plan] = []
    real = _check.Checked.plan

    def plan(self: _check.Checked) -> Plan:
        planned.append(real(self))
        return planned[-1]

    monkeypatch.setattr(_check.Checked, "plan", plan)
    lines = said(cli, "run", "little", "--profile", "full", "--engine", engine, "--out", "out")
    (one,) = planned
    assert Plan.from_dict(json.loads((tmp_path / "out" / "plan.json").read_text())) == one
    assert one.engine == ("solo" if engine == "solo" else "lanes")
    time = "6 s" if engine == "solo" else "1.1 s"
    assert lines[0] == f"tiny, full: 6 trials, about {time} here if all are trained."
    assert bool(asked.packs) == (engine == "auto")
    again = said(cli, "run", "little", "--profile", "full", "--out", "out")
    assert len(planned) == 1
    assert not any("full:" in line for line in again)


def test_the_page_names_engine_and_reason(cli: Cli, tmp_path: Path, asked: Asked) -> None:
    assert cli("run", write_study(tmp_path / "tiny.yaml"), "--out", "out").code == 0
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["plan"] == {key: plan[key] for key in results["plan"]}
    assert set(results["plan"]) == {"engine", "device", "processes", "threads", "products", "reason"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"Plan: lanes, 1 process with 1 thread: {plan['reason']}" in page
    assert f"products {plan['products']}" in page
