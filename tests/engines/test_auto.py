"""auto: what is measured, within which bounds, how often, and that it leaves no trace."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ridgeline import RidgelineError
from ridgeline.lanes import Work
from ridgeline.study import Plan, _check, _lanes, _programs, _tried
from ridgeline.study._plan import EngineName
from tests.engines.paces import paces, worth_it
from tests.engines.test_lanes_in_studies import alike, study

HERE = "tests.engines.test_auto"
HUGE = Work(100_000_000, 100_000_000, 60_000, 70)


def kept(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """What a function of a module returns, call by call."""
    real, found = getattr(module, name), []

    def keeping(*args: Any) -> Any:
        found.append(real(*args))
        return found[-1]

    monkeypatch.setattr(module, name, keeping)
    return found


def test_a_study_is_measured_and_its_plan_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = paces(monkeypatch, alone=1.0, fixed=1.0, a_lane=0.1)
    plan = study(seeds=4).plan()  # 24 trials, which take 1 + 24 · 0.1 s in one pack
    assert asked.packs == [2, 16]
    assert plan.engine == "lanes"
    assert plan.seconds == pytest.approx(3.4)
    assert study(seeds=4).estimate() == pytest.approx(3.4)
    ours = study().run(tmp_path / "auto")
    stored = json.loads((tmp_path / "auto" / "plan.json").read_text())
    ways = {way["engine"]: way for way in stored["programs"][0]["ways"] if way["threads"] == 1}
    assert ways["lanes"]["unit_s"] == pytest.approx(1.0)
    assert ways["lanes"]["trial_s"] == pytest.approx(0.1)
    assert ways["solo"]["trial_s"] == pytest.approx(1.0)
    assert {each["name"]: each["seconds"] for each in stored["candidates"]}[
        "lanes, in this process"
    ] == pytest.approx(2.2)

    asked = paces(monkeypatch, alone=1.0, fixed=100.0, a_lane=0.1)
    assert study().plan().engine == "solo"
    before = len(asked.within)
    grown = study(seeds=3).run(tmp_path / "auto")
    assert grown.path == ours.path
    assert len(asked.within) == before  # it keeps the plan that it was begun with, and measures nothing
    alike(grown, study(seeds=3).run(tmp_path / "solo", engine="solo"))


def test_a_run_plans_once_and_builds_each_arm_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = paces(monkeypatch, alone=1.0, fixed=1.0, a_lane=0.1)
    built = kept(monkeypatch, _check, "probe")
    told: list[Plan] = []
    study().run(tmp_path / "run", on_plan=told.append)
    assert len(built) == 6
    assert (asked.threads[0], asked.packs) == (1, [2, 12])
    (plan,) = told
    assert Plan.from_dict(json.loads((tmp_path / "run" / "plan.json").read_text())) == plan
    study().run(tmp_path / "run", on_plan=told.append)
    assert told == [plan]  # all is done: nobody is told of a plan, and nothing is built
    assert len(built) == 6


@pytest.mark.parametrize("engine", ["auto", "solo"])
def test_the_probed_trial_is_the_one_that_is_measured(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = paces(monkeypatch, alone=100.0)
    built = kept(monkeypatch, _check, "probe")
    models = kept(monkeypatch, _programs, "build_model")
    study().plan(engine=engine)
    assert asked.threads
    assert all(any(each is one for one in built) for each in asked.probed)
    assert len(models) == len(built) == 6


def test_solo_asked_for_measures_no_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = paces(monkeypatch, alone=1.0, fixed=0.1)
    monkeypatch.setattr(_lanes, "path_of", None)  # nor does it look for a path of lanes
    plan = study().plan(engine="solo")
    assert asked.packs == []
    assert plan.engine == "solo"
    assert {each.engine for each in plan.candidates} == {"solo"}
    assert plan.programs[0].reason == "solo is asked for"


@pytest.mark.parametrize("engine", ["auto", "lanes"])
def test_a_pack_of_much_memory_is_measured_where_it_is_asked_for(
    engine: EngineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = paces(monkeypatch, alone=10.0, fixed=1.0, a_lane=1.0, step=0.05)
    monkeypatch.setattr(_lanes, "work_of", lambda *_: HUGE)
    plan = study().plan(engine=engine)
    (program,) = plan.programs
    assert (plan.engine, bool(asked.packs)) == (("solo", False) if engine == "auto" else ("lanes", True))
    assert program.lanes == (2 if engine == "lanes" else 1)
    assert ("take more memory than a pack should" in program.reason) == (engine == "auto")


@pytest.mark.parametrize(
    ("start", "packs"),
    [(0.0, [2, 12]), (0.1, [2, 5]), (0.2, [2]), (3.0, [])],
)
def test_what_building_a_pack_costs_bounds_its_size(
    start: float, packs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Work of 12 s: measuring may take 2 s, packs half of it, the larger one half of that."""
    asked = paces(monkeypatch, alone=1.0, fixed=0.4, a_lane=0.1, start=start, step=0.0)
    plan = study().plan()
    assert asked.packs == packs
    assert sum(asked.packs) * start <= 2.0
    assert ("takes longer to build" in plan.programs[0].reason) == (not packs)


def test_each_measuring_is_given_a_part_of_what_all_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    arms = {f"width {width}": {"model.hidden": [width]} for width in (8, 9, 10, 11)}
    asked = paces(monkeypatch, alone=1.0, fixed=1.0, a_lane=0.1)
    plan = study(arms=arms, vary=None, seeds=50).plan()  # 200 s of work
    assert len(plan.programs) == 4
    assert len(asked.within) >= 12
    assert sum(asked.within) <= 0.05 * 200.0


def test_where_time_runs_out_the_rest_is_reckoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands before the first measuring and is past all bounds after it."""
    arms = {f"width {width}": {"model.hidden": [width]} for width in (8, 64)}
    asked = paces(monkeypatch, alone=1.0, fixed=0.1)
    monkeypatch.setattr("ridgeline.study._measure.time.perf_counter", lambda: 1e6 if asked.threads else 0.0)
    plan = study(arms=arms, vary=None).plan()
    assert (asked.threads, asked.packs) == ([1], [])
    wide, narrow = (next(p for p in plan.programs if p.arms == (arm,)) for arm in ("width 64", "width 8"))
    assert wide.ways[0].note == "measured"
    assert wide.ways[0].trial_s == pytest.approx(1.0)
    assert (narrow.ways[0].measured, narrow.ways[0].note[:8]) == (False, "reckoned")
    assert narrow.ways[0].trial_s is not None
    assert 0 < narrow.ways[0].trial_s <= 1.0
    assert plan.engine == "solo"


def test_more_lanes_are_measured_only_where_they_promise_something(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = paces(monkeypatch, alone=1.0, fixed=50.0)
    assert study().plan().engine == "solo"
    assert asked.packs == [2]


def test_threads_are_measured_only_where_they_promise_something(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = paces(monkeypatch, alone=100.0, fixed=0.5)
    study().plan()
    assert asked.threads == [1]
    assert study(vary=None, seeds=1).plan().candidates[-1].name == "solo, all threads"
    assert asked.threads == [1, 1, 2]
    assert torch.get_num_threads() == 1
    asked = paces(monkeypatch, alone=100.0, cores=1)
    study(vary=None, seeds=1).plan()
    assert asked.threads == [1]


@pytest.mark.parametrize(
    ("gain", "a_lane", "processes", "threads", "threaded"),
    [
        (1.8, 0.2, 1, 2, [2, 16]),
        (1.03, 0.2, 1, 1, [2, 16]),
        (1.8, 100.0, 2, 1, []),
    ],
    ids=["threads", "no gain", "a process repays its start"],
)
def test_packs_are_tried_with_all_threads_where_a_process_costs_more(
    gain: float,
    a_lane: float,
    processes: int,
    threads: int,
    threaded: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = paces(monkeypatch, alone=1000.0, fixed=a_lane, a_lane=a_lane, threads_gain=gain)
    plan = study(seeds=4).plan()  # 24 trials
    assert asked.packs == [2, 16]
    assert asked.threaded == threaded
    assert (plan.engine, plan.processes, plan.threads) == ("lanes", processes, threads)


class Failing(nn.Module):
    """Fails in training, where nothing has tried it yet."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            raise KeyError("unheard of")
        return self.last(x.flatten(1))  # type: ignore[no-any-return]


def test_a_trial_that_fails_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    worth_it(monkeypatch)
    failing = study(
        model={"factory": f"{HERE}:Failing"}, vary=None, arms={"one": {}, "two": {"train.lr": 1.0}}
    )
    with pytest.raises(RidgelineError, match=r"arm 'one' fails while training \(KeyError: 'unheard of'\)"):
        failing.plan()


def test_a_pack_that_fails_leaves_solo(monkeypatch: pytest.MonkeyPatch) -> None:
    paces(monkeypatch, alone=1.0)

    def no_memory(*_: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(_tried, "pace_of_pack", no_memory)
    plan = study().plan()
    assert plan.engine == "solo"
    assert "a pack failed when it was tried (RuntimeError: DefaultCPUAllocator" in plan.programs[0].reason


def test_measuring_leaves_no_trace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The paces are really measured, whatever they say."""
    worth_it(monkeypatch)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    plan = study().plan(engine="solo")
    assert plan.seconds is not None
    assert 0 < plan.seconds < math.inf
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == threads
    measured = study().run(tmp_path / "measured", engine="solo")
    monkeypatch.setattr(_check, "worth_measuring", lambda *_: False)
    bare = study().run(tmp_path / "bare", engine="solo")
    assert measured.curves.equals(bare.curves)


def test_little_work_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tried, "pace_of", None)
    plan = study().plan()
    assert (plan.engine, plan.candidates) == ("solo", ())
    assert all(each.ways == () for each in plan.programs)
    assert "too little for more processes" in plan.reason
