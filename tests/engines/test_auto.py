"""auto: a few measured steps choose; the choice is a pure function of what was measured."""

from pathlib import Path
from typing import Any

import pytest

from ridgeline.study import _lanes, _run
from ridgeline.study._plan import Plan, ProgramPlan, faster, with_lanes
from tests.engines.test_lanes_in_studies import alike, study

LANES = ProgramPlan(("a", "b"), "lanes", "grouped", 64, "native")
SOLO = Plan("solo", "cpu", 1, 1, "one after another")


def test_the_faster_one_is_chosen_and_a_tie_is_solo() -> None:
    plan, seconds = faster(LANES, 10, alone_s=20.0, packed_s=5.0)
    assert (plan.engine, seconds) == ("lanes", 5.0)
    assert plan.reason == "native; 2 s a trial alone, 0.5 s in a pack, measured here"
    for packed in (19.0, 40.0):
        plan, seconds = faster(LANES, 10, alone_s=20.0, packed_s=packed)
        assert (plan.engine, plan.arms, seconds) == ("solo", LANES.arms, 20.0)
        assert plan.reason.startswith("a pack is no faster: 2 s a trial alone")


@pytest.mark.parametrize(("work", "cores", "processes"), [(3.0, 2, 1), (60.0, 2, 2), (60.0, 1, 1)])
def test_packs_get_processes_where_the_work_repays_them(work: float, cores: int, processes: int) -> None:
    plan = with_lanes(SOLO, [LANES], cores, work, measured=True)
    assert (plan.engine, plan.processes, plan.threads) == ("lanes", processes, 1)
    assert plan.seconds == work / processes
    none = with_lanes(SOLO, [faster(LANES, 10, 1.0, 9.0)[0]], cores, work, measured=True)
    assert (none.engine, none.processes) == ("solo", 1)
    assert "no lanes: a pack is no faster" in none.reason


def paces(monkeypatch: pytest.MonkeyPatch, alone: float, fixed: float, a_lane: float) -> list[int]:
    """Have every trial and pack take so long; returns the sizes of the packs that are asked about."""
    asked: list[int] = []

    def of_pack(programs: Any, *_: Any) -> float:
        asked.append(len(programs))
        return fixed + a_lane * len(programs)

    monkeypatch.setattr(_lanes, "seconds_of", lambda *_: alone)
    monkeypatch.setattr(_lanes, "seconds_of_pack", of_pack)
    monkeypatch.setattr(_run, "WORTH_MEASURING_S", 0.0)
    return asked


def test_a_study_is_measured_and_its_plan_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = paces(monkeypatch, alone=1.0, fixed=1.0, a_lane=0.1)
    plan = study(seeds=4).plan()  # 24 trials, which take 1 + 24 · 0.1 s in one pack
    assert asked == [2, 16]
    assert plan.engine == "lanes"
    assert plan.seconds == pytest.approx(3.4)
    assert study(seeds=4).estimate() == pytest.approx(3.4)
    ours = study().run(tmp_path / "auto")
    paces(monkeypatch, alone=1.0, fixed=100.0, a_lane=0.1)
    assert study().plan().engine == "solo"
    assert study(seeds=3).run(tmp_path / "auto").path == ours.path  # it keeps the plan that it was begun with
    alike(study(seeds=3).run(tmp_path / "auto"), study(seeds=3).run(tmp_path / "solo", engine="solo"))


def test_measuring_leaves_no_trace_in_the_results(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The paces are really measured, whatever they say."""
    monkeypatch.setattr(_run, "WORTH_MEASURING_S", 0.0)
    plan = study().plan()
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert all("measured here" in each.reason for each in plan.programs)


def test_little_work_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lanes, "seconds_of", None)
    plan = study().plan()
    assert (plan.engine, plan.programs, plan.seconds) == ("solo", (), None)
