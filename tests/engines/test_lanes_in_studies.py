"""Lanes in a study: the same results as solo's in the same tables, and what cannot be a lane runs alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from ridgeline import RidgelineError, Study
from ridgeline.data import Splits
from ridgeline.report import Results
from ridgeline.store import read_json
from ridgeline.study._execute import prepared
from ridgeline.study._packs import units_of
from ridgeline.study._plan import Plan, ProgramPlan
from ridgeline.study._underway import units_to_do

HERE = "tests.engines.test_lanes_in_studies"
BASE: dict[str, Any] = {
    "name": "packs",
    "data": {"name": "digits", "n_train": 100},
    "model": {"name": "mlp", "hidden": [8], "dropout": 0.1},
    "train": {"lr": 1e-2, "steps": 12, "batch_size": 25},
    "regularization": {"penalty": "l2", "strength": 0.0},
    "vary": {"regularization.strength": [0.0, 0.01, 0.1], "train.lr": [0.01, 0.03]},
    "seeds": 2,
}


def study(**changes: Any) -> Study:
    """The study with sections exchanged; None leaves one out."""
    return Study(**{k: v for k, v in {**BASE, **changes}.items() if v is not None})


class Drawing(nn.Module):
    """Draws at random in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.dropout(self.first(x.flatten(1)).relu(), 0.5, self.training))  # type: ignore[no-any-return]


class Own(nn.Module):
    """A forward of one's own, with nn.Dropout."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.last, self.drop = nn.Linear(64, width), nn.Linear(width, 10), nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x.flatten(1)).relu()
        return self.last(hidden + self.drop(hidden))  # type: ignore[no-any-return]


def tables(run: Path) -> list[pl.DataFrame]:
    """Every table of a run, but for the seconds."""
    trials = pl.read_parquet(run / "trials.parquet").drop("seconds")
    return [
        trials,
        *(pl.read_parquet(run / f"{name}.parquet") for name in ("curves", "predictions", "audit")),
    ]


def alike(ours: Results, theirs: Results) -> None:
    """The same rows and columns, and the same numbers to rounding."""
    for a, b in zip(tables(ours.path), tables(theirs.path), strict=True):
        assert a.schema == b.schema
        assert len(a) == len(b)
        for name, kind in a.schema.items():
            if kind.is_float():
                mine, its = a[name].fill_null(0).to_list(), b[name].fill_null(0).to_list()
                assert mine == pytest.approx(its, rel=1e-3, abs=1e-5), name
            elif name not in ("best_step", "correct"):
                assert a[name].to_list() == b[name].to_list(), name
    weights = [sorted(p.name for p in (r.path / "weights").iterdir()) for r in (ours, theirs)]
    assert weights[0] == weights[1]


def test_a_study_in_lanes_is_the_study(tmp_path: Path) -> None:
    ours, theirs = (study().run(tmp_path / name, engine=name) for name in ("lanes", "solo"))
    alike(ours, theirs)
    assert study().run(tmp_path / "lanes", engine="lanes").trials.equals(ours.trials)


def test_own_modules_and_schedules_and_stopping(tmp_path: Path) -> None:
    changes = {
        "model": {"factory": f"{HERE}:Own"},
        "train": {
            "lr": 1e-2,
            "steps": 12,
            "batch_size": 25,
            "early_stopping": {"patience": 1},
            "clip_norm": 1.0,
        },
        "vary": {"train.schedule.name": ["constant", "cosine"], "regularization.strength": [0.0, 0.1]},
    }
    ours, theirs = (study(**changes).run(tmp_path / name, engine=name) for name in ("lanes", "solo"))
    alike(ours, theirs)
    (program,) = study(**changes).plan(engine="lanes").programs
    assert (program.engine, len(program.arms)) == ("lanes", 4)
    assert program.reason == "the model is of type Own, which runs under torch.func.vmap"


def test_the_plan_says_who_runs_how_and_why() -> None:
    arms = {
        "l2": {"regularization": {"penalty": "l2", "strength": 0.1}},
        "plain": {"regularization": {"penalty": "l2", "strength": 0.0}},
        "wider": {"model.hidden": [9]},
        "nuclear": {"regularization": {"penalty": "nuclear", "strength": 0.1}},
        "drawing": {"model": {"factory": f"{HERE}:Drawing"}},
        "batch": {"train.batch_size": 20},
        "drop": {"model.dropout": 0.4},
    }
    plan = study(arms=arms, vary=None).plan(engine="lanes")
    found = {each.arms: (each.engine, each.reason) for each in plan.programs}
    native = ("lanes", "every layer has a native lane layer")
    # an arm that is the same program as another trains with it
    assert found.pop(("l2", "plain", "drop")) == native
    assert found.pop(("wider",)) == found.pop(("batch",)) == native
    assert found.pop(("nuclear",)) == ("solo", "Nuclear has no form that keeps lanes apart")
    engine, why = found.pop(("drawing",))
    assert engine == "solo"
    assert why.startswith("it fails under torch.func.vmap (RuntimeError: vmap: called random operation")
    assert not found
    assert plan.engine == "lanes"


def test_without_lanes_the_plan_is_solo_and_says_why() -> None:
    plan = study(model={"factory": f"{HERE}:Drawing"}).plan(engine="lanes")
    assert plan.engine == "solo"
    assert "no lanes: it fails under torch.func.vmap" in plan.reason
    (single,) = study(vary=None, seeds=1).plan(engine="lanes").programs
    assert (single.engine, single.reason) == ("solo", "a single trial has nothing to share")
    little = study().plan()
    assert (little.engine, little.programs[0].engine) == ("solo", "solo")
    assert little.programs[0].reason == (
        "too little work to find out whether packs are faster; every layer has a native lane layer"
    )


@pytest.mark.parametrize(("lanes", "processes"), [(512, 1), (512, 2), (5, 1), (2, 4), (3, 2)])
def test_every_trial_is_in_exactly_one_unit(lanes: int, processes: int) -> None:
    trials = study(seeds=3).trials()
    arms = list(dict.fromkeys(t.arm for t in trials))
    programs = (
        ProgramPlan(tuple(arms[:-1]), "lanes", "grouped", lanes, ""),
        ProgramPlan((arms[-1],), "solo", "", 1, ""),
    )
    units = units_of(trials, Plan("lanes", "cpu", processes, 1, "", programs))
    assert sorted(t.trial_id for u in units for t in u.trials) == sorted(t.trial_id for t in trials)
    packs = [u for u in units if u.engine == "lanes"]
    assert max(len(u.trials) for u in packs) <= lanes
    assert len(packs) >= min(processes, 7)
    assert all(len(u.trials) == 1 for u in units if u.engine == "solo")
    assert [u.trials[0] for u in units_of(trials, Plan("solo", "cpu", 1, 1, ""))] == trials


def test_a_stored_plan_with_packs_is_the_plan() -> None:
    plan = study().plan(engine="lanes")
    assert plan.programs
    assert Plan.from_dict(plan.as_dict()) == plan
    with pytest.raises(RidgelineError, match=r"plan\.json"):
        Plan.from_dict({**plan.as_dict(), "programs": [{"arms": ["a"]}]})


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from ridgeline.store import write_json
from tests.engines.test_lanes_in_studies import small_packs

class Killing:
    done = 0
    def start(self, *counts): pass
    def steps(self, count): pass
    def say(self, sentence): pass
    def trial_done(self):
        self.done += 1
        if self.done == 4:
            os.kill(os.getpid(), signal.SIGKILL)

small_packs(Path(sys.argv[1]), Killing())
"""


def small_packs(out: Path, progress: Any = None) -> Results:
    """The study in packs of four, by a plan that lies there already."""
    from ridgeline.store import read_json, write_json

    if read_json(out / "plan.json") is None:
        out.mkdir()
        plan = study().plan(engine="lanes").as_dict()
        write_json(
            out / "plan.json", {**plan, "programs": [{**each, "lanes": 4} for each in plan["programs"]]}
        )
    return study().run(out, engine="lanes", progress=progress)


def test_killed_and_run_again_is_whole_bit_for_bit(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "run")], check=False, cwd=Path.cwd()
    )
    assert process.returncode == -signal.SIGKILL
    assert len(os.listdir(tmp_path / "run" / "parts")) == 4  # noqa: PTH208 - names are all that is asked
    for ours, theirs in zip(
        tables(small_packs(tmp_path / "run").path), tables(small_packs(tmp_path / "whole").path), strict=True
    ):
        assert ours.equals(theirs)


def test_more_seeds_go_on_by_the_same_plan(tmp_path: Path) -> None:
    first = study().run(tmp_path / "run", engine="lanes")
    kept = first.trials
    more = study(seeds=3).run(tmp_path / "run", engine="lanes")
    again = study(seeds=3).run(tmp_path / "whole", engine="lanes")
    assert len(more.trials) == len(kept) * 3 // 2
    for ours, theirs in zip(tables(more.path), tables(again.path), strict=True):
        keys = [c for c in ("trial_id", "step", "set", "when", "example", "name") if c in ours.columns]
        assert ours.sort(keys).equals(theirs.sort(keys))


def test_packs_in_processes_are_the_packs_here(tmp_path: Path) -> None:
    from ridgeline.store import write_json

    (tmp_path / "two").mkdir()
    write_json(tmp_path / "two" / "plan.json", {**study().plan(engine="lanes").as_dict(), "processes": 2})
    two, one = (study().run(tmp_path / name, engine="lanes") for name in ("two", "one"))
    for ours, theirs in zip(tables(two.path), tables(one.path), strict=True):
        assert ours.equals(theirs)


def test_packs_not_yet_begun_stay_as_they_were_cut(tmp_path: Path) -> None:
    """What an interruption left over is no other pack because others are done."""
    made = study(seeds=5)
    trials, arms = made.trials(), tuple(dict.fromkeys(t.arm for t in made.trials()))
    plan = Plan("lanes", "cpu", 2, 1, "", (ProgramPlan(arms, "lanes", "broadcast", 10, ""),))
    whole = units_of(trials, plan)
    assert [len(unit.trials) for unit in whole] == [10, 10, 10]
    known = {t.trial_id: t for t in trials}
    left = [t for t in trials if t not in whole[0].trials]
    assert units_to_do(tmp_path, left, known, plan, print)[0] == whole[1:]
    cut = [t for t in trials if t not in whole[0].trials[:4]]
    again, _ = units_to_do(tmp_path, cut, known, plan, print)
    assert again[:2] == whole[1:]
    assert {t.trial_id for unit in again for t in unit.trials} == {t.trial_id for t in cut}


def drawn_sizes() -> Splits:
    """As many training examples as the draw has it, which is seeded by the trial's seed."""
    x = torch.randn(40 + int(torch.randint(0, 40, ())), 4)
    return Splits(train=(x[20:], (x[20:, 0] > 0).long()), val=(x[:20], (x[:20, 0] > 0).long()))


def test_what_differs_by_seed_trains_alone_and_says_so(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "data": {"factory": f"{HERE}:drawn_sizes"},
        "train": {"lr": 0.1, "steps": 4, "batch_size": 5},
        "vary": {"train.lr": [0.1, 0.2]},
    }
    with pytest.warns(UserWarning, match="cannot share a program"):
        found = study(**changes).run(tmp_path / "lanes", engine="lanes")
    alone = study(**changes).run(tmp_path / "solo", engine="solo")
    assert found.trials.drop("seconds").equals(alone.trials.drop("seconds"))
    for path in (tmp_path / "lanes" / "weights").iterdir():
        with safe_open(path, "pt") as file:
            assert file.metadata()["engine"] == "solo"


def test_the_command_that_began_a_run_goes_on_with_it(tmp_path: Path) -> None:
    """Also where lanes were asked for, and none were possible."""
    drawing = {"model": {"factory": f"{HERE}:Drawing"}, "vary": {"train.lr": [0.1, 0.2]}}
    first = study(**drawing, seeds=1).run(tmp_path / "lanes", engine="lanes")
    assert read_json(tmp_path / "lanes" / "plan.json")["engine"] == "solo"
    more = study(**drawing, seeds=2).run(tmp_path / "lanes", engine="lanes")
    assert len(more.trials) == 2 * len(first.trials)
    study(**drawing, seeds=1).run(tmp_path / "solo", engine="solo")
    with pytest.raises(RidgelineError, match="a run keeps its plan"):
        study(**drawing, seeds=2).run(tmp_path / "solo", engine="lanes")


@pytest.mark.parametrize("flushed", [True, False])
def test_training_leaves_the_persons_treatment_of_denormals(flushed: bool) -> None:
    torch.set_flush_denormal(flushed)
    try:
        with prepared(1, "torch") as numerics:
            assert numerics.flushes
            assert not torch.tensor(1e-40) * 0.5
        assert bool(torch.tensor(1e-40) * 0.5) is not flushed
    finally:
        torch.set_flush_denormal(False)
