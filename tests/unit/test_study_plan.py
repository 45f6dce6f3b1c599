"""The plan, its prediction and its bounds: pure functions of machine and work."""

from dataclasses import replace

import pytest

from ridgeline import RidgelineError
from ridgeline.lanes import Work
from ridgeline.study import Plan
from ridgeline.study._plan import Candidate, EngineName, ProgramPlan, Way, pack_sizes
from ridgeline.study._predict import (
    affordable,
    allowance,
    lanes_that_fit,
    line,
    pack_promises,
    predict_seconds,
    threads_promise,
    worth_measuring,
)
from ridgeline.study._unmeasured import unmeasured

SMALL = Work(parameters=5_000, multiply_adds=5_000, numbers=150, operations=4)
LARGE = Work(parameters=6_400_000, multiply_adds=8_000_000, numbers=60_000, operations=7)
PACKS = ProgramPlan(("a", "b"), "lanes", "grouped", 64, "native", trials=10)


def plan_of(
    asked: EngineName = "solo",
    device: str = "cpu",
    cores: int = 8,
    trials: int = 100,
    a_trial: float = 60.0,
    parameters: int = 1_000,
) -> Plan:
    """The plan of one program, unmeasured."""
    engine = "solo" if asked == "solo" else "lanes"
    program = ProgramPlan(("a",), engine, "grouped", 64, "native", trials)
    return unmeasured(
        [program],
        asked=asked,
        device=device,
        cores=cores,
        work_s=trials * a_trial,
        parameters=parameters,
    )


@pytest.mark.parametrize(
    ("device", "cores", "trials", "seconds", "parameters", "processes", "threads"),
    [
        ("cuda", 8, 100, 60.0, 10**7, 1, 8),
        ("cpu", 8, 1, 600.0, 10**7, 1, 8),
        ("cpu", 8, 1, 600.0, 1_000, 1, 1),
        ("cpu", 1, 100, 60.0, 10**7, 1, 1),
        ("cpu", 8, 100, 0.01, 1_000, 1, 1),
        ("cpu", 8, 100, 60.0, 1_000, 8, 1),
        ("cpu", 8, 3, 60.0, 1_000, 3, 1),
    ],
)
def test_processes_and_threads(
    device: str, cores: int, trials: int, seconds: float, parameters: int, processes: int, threads: int
) -> None:
    plan = plan_of("solo", device, cores, trials, seconds, parameters)
    assert (plan.processes, plan.threads, plan.device) == (processes, threads, device)
    assert plan.processes * plan.threads <= cores
    assert plan.seconds == pytest.approx(trials * seconds / processes)
    assert plan.reason


def test_unmeasured_packs_are_made_where_they_are_asked_for_alone() -> None:
    assert plan_of("lanes").engine == "lanes"
    (program,) = plan_of("auto").programs
    assert (program.engine, program.rule, program.lanes) == ("solo", "", 1)
    assert program.reason.endswith("; native")  # how the model would run is said all the same


def test_more_work_is_predicted_to_take_longer() -> None:
    base = predict_seconds(SMALL, 64, 100)
    assert base > 0
    assert predict_seconds(replace(SMALL, multiply_adds=10_000), 64, 100) > base
    assert predict_seconds(replace(SMALL, operations=8), 64, 100) > base
    assert predict_seconds(SMALL, 128, 100) > base
    assert predict_seconds(SMALL, 64, 200) == pytest.approx(2 * base)


def test_how_many_lanes_fit_follows_from_memory() -> None:
    small, large = lanes_that_fit(SMALL, 32, 64), lanes_that_fit(LARGE, 100, 784)
    assert small > large >= 2
    assert large * LARGE.parameters * 4 * 6 <= 1 << 30  # weights, gradients, best weights, optimizer state
    assert lanes_that_fit(replace(SMALL, parameters=10**10), 32, 64) == 0
    assert lanes_that_fit(SMALL, 32, 64) > lanes_that_fit(replace(SMALL, numbers=10**6), 32, 64)
    seeds = lanes_that_fit(SMALL, 32, 64, examples=5e7)  # as where each seed holds out its own part of MNIST
    assert 5e7 * seeds <= 1 << 30
    assert lanes_that_fit(LARGE, 100, 784, room=4 << 30) >= 3 * large


@pytest.mark.parametrize(
    ("work", "updates", "worth"), [(7.0, 40, True), (5.0, 10**6, False), (1e4, 39, False)]
)
def test_little_is_not_worth_measuring(work: float, updates: int, worth: bool) -> None:
    assert worth_measuring(work, updates) is worth


def test_measuring_may_take_a_twentieth_of_the_work_or_two_seconds() -> None:
    assert [allowance(work) for work in (0.0, 40.0, 4000.0)] == [2.0, 2.0, 200.0]


def test_no_pack_is_built_that_takes_longer_than_measuring_may() -> None:
    for start, step, within in ((0.5, 0.1, 2.0), (0.01, 0.03, 1.0), (3.0, 0.03, 2.0), (0.0, 0.0, 0.1)):
        count = affordable(16, start, step, within)
        assert count * (start + 3 * step) <= within
        assert count <= 16
        assert count != 1
    assert affordable(16, 3.0, 0.03, within=2.0) == 0


def test_what_cannot_be_the_fastest_is_not_promised() -> None:
    assert pack_promises(alone_s=10.0, few_s=1.0, packs=1, clearly=1.15)
    assert not pack_promises(alone_s=10.0, few_s=1.0, packs=9, clearly=1.15)
    assert threads_promise(alone_s=10.0, cores=2, best_s=10.0, clearly=1.15)
    assert not threads_promise(alone_s=10.0, cores=2, best_s=5.5, clearly=1.15)


def test_a_larger_pack_is_reckoned_along_a_line() -> None:
    fixed, each = line(2, 1.2, 16, 2.6)
    assert fixed + 64 * each == pytest.approx(7.4)
    assert line(2, 1.0, 16, 0.9) == (1.0, 0.0)  # noise: a lane never gives time back
    assert line(2, 1.0, 16, 32.0)[0] == 0.0
    assert line(2, 1.0, 2, 1.0) == (0.0, 0.5)  # from one pack: as if nothing were shared


@pytest.mark.parametrize(
    ("trials", "lanes", "processes"), [(10, 512, 1), (10, 512, 4), (11, 3, 2), (2, 2, 8)]
)
def test_packs_hold_all_trials_and_none_too_many(trials: int, lanes: int, processes: int) -> None:
    sizes = pack_sizes(trials, lanes, processes)
    assert sum(sizes) == trials
    assert max(sizes) <= lanes
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) >= min(processes, trials // 2)
    way = Way("lanes", 1, lanes, unit_s=2.0, trial_s=0.5, note="")
    assert sum(way.units(trials, processes)) == pytest.approx(2.0 * len(sizes) + 0.5 * trials)
    assert Way("solo", 1, 1, 0.0, 0.5, "").units(trials, processes) == [0.5] * trials


def test_a_stored_plan_is_the_plan() -> None:
    ways = (Way("solo", 1, 1, 0.0, 2.0, "measured"), Way("lanes", 1, 64, 1.0, None, "not measured: large"))
    candidates = (Candidate("solo, in this process", "solo", 1, 1, 20.0),)
    plan = Plan("solo", "cpu", 2, 1, "two", (replace(PACKS, ways=ways),), 20.0, "onednn", candidates)
    assert Plan.from_dict(plan.as_dict()) == plan
    with pytest.raises(RidgelineError, match=r"plan\.json"):
        Plan.from_dict({"engine": "solo"})
    with pytest.raises(RidgelineError, match=r"plan\.json"):
        Plan.from_dict({**plan.as_dict(), "candidates": [{"name": "solo"}]})


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 0},
        {"threads": "2"},
        {"processes": True},
        {"products": "mkl"},
        {"engine": "fast"},
        {"programs": [{**PACKS.__dict__, "lanes": 0}]},
        {"programs": [{**PACKS.__dict__, "rule": "mine"}]},
        {"programs": [{**PACKS.__dict__, "engine": "fast"}]},
    ],
)
def test_a_plan_that_was_spoilt_is_refused(changes: dict[str, object]) -> None:
    plan = Plan("solo", "cpu", 2, 1, "two", (PACKS,)).as_dict()
    assert Plan.from_dict(plan).programs == (PACKS,)
    with pytest.raises(RidgelineError, match="choose another --out"):
        Plan.from_dict({**plan, **changes})


def test_plans_of_older_versions_are_read() -> None:
    first = {"engine": "solo", "device": "cpu", "processes": 2, "threads": 1, "reason": "two"}
    assert Plan.from_dict(first) == Plan("solo", "cpu", 2, 1, "two")
    program = {"arms": ["a", "b"], "engine": "lanes", "rule": "grouped", "lanes": 64, "reason": "native"}
    second = {**first, "engine": "lanes", "programs": [program], "seconds": 3.4, "products": "torch"}
    (found,) = Plan.from_dict(second).programs
    assert found == replace(PACKS, trials=0)
