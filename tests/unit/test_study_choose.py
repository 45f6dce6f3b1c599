"""The choice: a pure function of what was measured, here made up."""

from dataclasses import replace

import pytest

from ridgeline.study import Plan
from ridgeline.study._choose import CLEARLY, START_S, choose, makespan
from ridgeline.study._plan import EngineName, ProgramPlan, Way


def solo(trial_s: float, threads: int = 1) -> Way:
    return Way("solo", threads, 1, 0.0, trial_s, "measured")


def packs(unit_s: float, trial_s: float | None, lanes: int = 64) -> Way:
    known = trial_s is not None
    return Way("lanes", 1, lanes, unit_s, trial_s, "measured" if known else "not measured: large", known)


def program(*ways: Way, trials: int = 10, arm: str = "a") -> ProgramPlan:
    engine = "lanes" if any(way.engine == "lanes" for way in ways) else "solo"
    return ProgramPlan((arm,), engine, "grouped", 64, "native", trials, ways)


def chosen(
    *programs: ProgramPlan, asked: EngineName = "auto", cores: int = 2, device: str = "cpu"
) -> tuple[Plan, dict[str, float]]:
    """The plan, and the seconds of its candidates."""
    plan = choose(programs, asked=asked, device=device, cores=cores, products="torch")
    return plan, {each.name: each.seconds for each in plan.candidates}


def test_the_fastest_is_chosen_and_each_candidate_named() -> None:
    plan, seconds = chosen(program(solo(2.0), packs(1.0, 0.4)))
    assert seconds == {
        "solo, in this process": pytest.approx(20.0),
        "solo, one process a core": pytest.approx(10.0 + START_S),
        "lanes, in this process": pytest.approx(5.0),
        "lanes, one process a core": pytest.approx(1.0 + 5 * 0.4 + START_S),
    }
    assert (plan.engine, plan.processes, plan.threads) == ("lanes", 1, 1)
    assert plan.seconds == pytest.approx(5.0)
    (one,) = plan.programs
    assert (one.engine, one.rule, one.lanes) == ("lanes", "grouped", 64)
    assert one.reason == "native; 2 s a trial alone, 0.5 s in a pack, measured here"
    assert "1 arm as lanes" in plan.reason
    assert "about 5 s, against 6 s for lanes, one process a core" in plan.reason


@pytest.mark.parametrize("packed", [1.95, 2.0, 4.0])
def test_a_tie_is_solo(packed: float) -> None:
    plan, seconds = chosen(program(solo(2.0), packs(0.0, packed)), cores=1)
    assert (plan.engine, plan.programs[0].engine, plan.programs[0].rule) == ("solo", "solo", "")
    assert list(seconds) == ["solo, in this process"]
    assert "a pack is no faster: 2 s a trial alone" in plan.programs[0].reason
    assert plan.programs[0].reason.endswith("; native")
    assert "no lanes: a pack is no faster" in plan.reason


@pytest.mark.parametrize("wiggle", [0.98, 1.0, 1.05])
def test_small_differences_do_not_flip_the_engine(wiggle: float) -> None:
    """Packs in this process take as long as solo in two processes, give or take."""
    alone = 20.0
    tie = (alone * 10 / 2 + START_S) * wiggle
    plan, _ = chosen(program(solo(alone), packs(tie, 0.0)))
    assert (plan.engine, plan.processes) == ("solo", 2)
    assert "packs gain too little in all" in plan.programs[0].reason


def test_processes_are_started_where_the_work_repays_them() -> None:
    for trial_s, processes in ((0.3, 1), (6.0, 2)):
        assert chosen(program(solo(trial_s)))[0].processes == processes
    for trial_s, processes in ((0.3, 1), (6.0, 2)):
        plan, _ = chosen(program(solo(100.0), packs(0.0, trial_s)))
        assert (plan.engine, plan.processes, plan.threads) == ("lanes", processes, 1)
    assert chosen(program(solo(60.0), trials=3), cores=8)[0].processes == 3


def test_all_threads_are_for_few_trials() -> None:
    plan, seconds = chosen(program(solo(100.0), solo(60.0, threads=2), trials=1))
    assert (plan.engine, plan.processes, plan.threads) == ("solo", 1, 2)
    assert seconds == {"solo, in this process": 100.0, "solo, all threads": 60.0}
    many, _ = chosen(program(solo(100.0), solo(60.0, threads=2), trials=20))
    assert (many.processes, many.threads) == (2, 1)


def test_each_program_takes_its_own_engine() -> None:
    quick, slow, barred = (
        program(solo(2.0), packs(1.0, 0.1), arm="quick"),
        program(solo(2.0), packs(1.0, 3.0), arm="slow"),
        replace(program(solo(0.1), arm="barred"), reason="a term of your own is written for one model"),
    )
    plan, seconds = chosen(quick, slow, barred, cores=1)
    assert [each.engine for each in plan.programs] == ["lanes", "solo", "solo"]
    assert plan.seconds == pytest.approx(2.0 + 20.0 + 1.0)
    assert plan.programs[2].reason == "a term of your own is written for one model"
    assert seconds["solo, in this process"] == pytest.approx(20.0 + 20.0 + 1.0)


def test_what_is_asked_for_is_done() -> None:
    slow_packs = program(solo(1.0), solo(0.4, threads=2), packs(0.0, 5.0))
    plan, seconds = chosen(slow_packs, asked="lanes")
    assert plan.engine == "lanes"
    assert all(name.startswith("lanes") for name in seconds)
    quick = program(solo(10.0))
    plan, seconds = chosen(replace(quick, reason="solo is asked for"), asked="solo")
    assert plan.engine == "solo"
    assert all(name.startswith("solo") for name in seconds)


def test_a_pack_that_was_not_measured_is_not_chosen_and_why_is_said() -> None:
    plan, seconds = chosen(program(solo(2.0), packs(0.0, None)))
    assert plan.engine == "solo"
    assert all(name.startswith("solo") for name in seconds)
    assert plan.programs[0].reason == "native; not measured: large"


def test_an_accelerator_has_one_process() -> None:
    plan, seconds = chosen(program(solo(2.0, threads=8)), cores=8, device="cuda")
    assert (plan.processes, plan.threads, plan.device) == (1, 8, "cuda")
    assert list(seconds) == ["solo, in this process"]


@pytest.mark.parametrize("cores", [1, 2, 8])
def test_no_candidate_beats_the_choice_clearly(cores: int) -> None:
    paces = [0.01, 0.3, 1.0, 7.0]
    for alone in paces:
        for unit in paces:
            for lane in paces:
                for trials in (1, 2, 7, 40):
                    ways = [solo(alone), solo(0.6 * alone, threads=cores)][: 1 if cores == 1 else 2]
                    mine = [*ways, packs(unit, lane, lanes=16)] if trials > 1 else ways
                    plan, seconds = chosen(program(*mine, trials=trials), cores=cores)
                    assert plan.seconds is not None
                    assert plan.seconds <= CLEARLY * min(seconds.values()) + 1e-9
                    assert plan.processes * plan.threads <= cores


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_end_lies_between_its_bounds(processes: int) -> None:
    units = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    end = makespan(units, processes)
    assert max(sum(units) / processes, max(units)) <= end <= sum(units) / processes + max(units)
