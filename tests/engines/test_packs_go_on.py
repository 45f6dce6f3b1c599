"""Studies whose packs are interrupted, whose checkpoints are spoilt, whose memory runs out: the same results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors import safe_open
from torch import nn

from ridgeline import RidgelineError, Study
from ridgeline.lanes import Pack
from ridgeline.store import read_sealed, write_json, write_sealed
from ridgeline.study import _run as run_module
from ridgeline.study._checkpoints import checkpoints_dir, generations
from ridgeline.study._executors import Job
from ridgeline.study._memory import out_of_memory
from ridgeline.study._plan import Plan, ProgramPlan

HERE = "tests.engines.test_packs_go_on"
SPEC: dict[str, Any] = {
    "name": "packs",
    "data": {"name": "digits", "n_train": 100},
    "model": {"factory": f"{HERE}:normed"},
    "train": {
        "lr": 1e-2,
        "steps": 24,
        "batch_size": 25,
        "early_stopping": {"patience": 4, "min_delta": 0.06},
        "optimizer": "sgd",
        "momentum": 0.9,
    },
    "regularization": {"penalty": "l2", "strength": 0.01},
    "vary": {"train.lr": [0.003, 0.3, 1e30]},
    "evaluate": {"every": 4},
    "seeds": 2,
}
LANES = 4  # those of 6 whose learning rate is not beyond all measure


def normed() -> nn.Module:
    """Batch normalization and dropout."""
    parts = nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10)
    return nn.Sequential(*parts)


@dataclass
class Heard:
    """A progress that remembers, and interrupts where it is told to.

    Attributes:
        stop: the number of the report of steps at which it does.
    """

    stop: int = 0
    steps_told: list[int] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    done: int = 0

    def start(self, trials: int, done: int, steps_a_trial: int) -> None:
        """Nothing."""

    def steps(self, count: int) -> None:
        self.steps_told.append(count)
        if len(self.steps_told) == self.stop:
            raise KeyboardInterrupt

    def trial_done(self) -> None:
        self.done += 1

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


@pytest.fixture(autouse=True)
def saved_at_every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "Job", partial(Job, save_every_s=0.0))
    monkeypatch.setattr("ridgeline.study._checkpoints._COSTS", 0.0)


def run(out: Path, heard: Heard, processes: int = 1) -> None:
    """The study in one pack a process, by a plan that lies there."""
    study = Study(**SPEC)
    if not out.exists():
        out.mkdir()
        arms = tuple(dict.fromkeys(trial.arm for trial in study.trials()))
        program = ProgramPlan(arms, "lanes", "broadcast", 512, "")
        write_json(out / "plan.json", Plan("lanes", "cpu", processes, 1, "", (program,)).as_dict())
    study.run(out, engine="lanes", progress=heard)


def tables(out: Path) -> list[pl.DataFrame]:
    """Every table of a run, but for the seconds."""
    trials = pl.read_parquet(out / "trials.parquet").drop("seconds")
    return [
        trials,
        *(pl.read_parquet(out / f"{name}.parquet") for name in ("curves", "predictions", "audit")),
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[pl.DataFrame]:
    """The tables of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(out, Heard())
    found = tables(out)
    assert found[0]["status"].to_list().count("diverged") == 2
    assert found[0]["steps"].n_unique() > 2  # some stop early
    return found


def interrupted(out: Path, report: int = 3, processes: int = 1) -> None:
    """The run, stopped at a report of steps: those of one process at update 4, 8, 12."""
    with pytest.raises(KeyboardInterrupt):
        run(out, Heard(stop=report), processes)


def is_whole(out: Path, whole: list[pl.DataFrame]) -> None:
    """The tables are those of the undisturbed run, and no checkpoint is left."""
    for ours, theirs in zip(tables(out), whole, strict=True):
        assert ours.equals(theirs)
    assert not checkpoints_dir(out).exists()


def test_an_interrupted_pack_goes_on_and_who_left_is_kept(tmp_path: Path, whole: list[pl.DataFrame]) -> None:
    out = tmp_path / "run"
    interrupted(out)
    assert tables(out)[0]["status"].to_list() == ["diverged"] * 2  # they left at update 4
    interrupted(out, report=2)  # the first report is of the 11 updates that were made
    heard = Heard()
    run(out, heard)
    assert (heard.steps_told[0], heard.done, heard.said) == (11 * LANES, LANES, [])
    is_whole(out, whole)


def test_a_pack_that_saved_nothing_yet_begins_anew_with_the_lanes_it_had(
    tmp_path: Path, whole: list[pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that left keep the others company: under vmap, a product may round by its place among others."""
    out, heard = tmp_path / "run", Heard()
    monkeypatch.setattr(run_module, "Job", Job)  # its first checkpoint is a minute away
    interrupted(out)
    assert len(tables(out)[0]) == 2
    sizes = short(monkeypatch, 6, MemoryError(), None)
    run(out, heard)
    assert (sizes, heard.done, heard.said) == ([6], LANES, [])
    is_whole(out, whole)


def test_killed_processes_go_on(tmp_path: Path, whole: list[pl.DataFrame]) -> None:
    """An interruption kills the workers, who write when they like: at least after their first update."""
    out = tmp_path / "run"
    interrupted(out, processes=2)
    assert generations(out)
    heard = Heard()
    run(out, heard)
    assert heard.steps_told[0] > 0
    assert heard.said == []
    is_whole(out, whole)


def flip(path: Path) -> None:
    """One bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    """The second half gone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def changed(**facts: Any) -> Callable[[Path], None]:
    """Whole, but with other facts."""

    def change(path: Path) -> None:
        tensors, there = read_sealed(path)
        path.unlink()
        write_sealed(path, {name: t.clone() for name, t in tensors.items()}, {**there, **facts})

    return change


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (flip, "its contents do not have its checksum"),
        (cut, "it cannot be read"),
        (changed(format=0), "its format is 0, this version reads 2"),
        (changed(lanes=["f00d"] * LANES), "it holds trial f00d, which is none of this study's"),
        (changed(made_by={}), "ridgeline was None when it was written"),
    ],
    ids=["flipped", "cut", "older", "foreign", "made elsewhere"],
)
def test_a_spoilt_checkpoint_is_refused_by_name_and_the_one_before_is_taken(
    tmp_path: Path, whole: list[pl.DataFrame], spoil: Callable[[Path], None], why: str
) -> None:
    out = tmp_path / "run"
    interrupted(out)
    ((newer, older),) = generations(out).values()
    spoil(checkpoints_dir(out) / newer)
    heard = Heard()
    run(out, heard)
    (sentence,) = heard.said
    assert f"{checkpoints_dir(out) / newer} is not used: {why}" in sentence
    assert sentence.endswith(f"go on from {older}, of update 10.")
    assert heard.steps_told[0] == 10 * LANES
    is_whole(out, whole)


def test_with_no_good_checkpoint_a_pack_begins_anew_and_a_person_hears_why(
    tmp_path: Path, whole: list[pl.DataFrame]
) -> None:
    out = tmp_path / "run"
    interrupted(out)
    for names in generations(out).values():
        for name in names:
            flip(checkpoints_dir(out) / name)
    with pytest.warns(UserWarning, match=r"is not used: its contents.* go on from their start\.") as warned:
        Study(**SPEC).run(out)
    assert len(warned) == 2
    is_whole(out, whole)


def test_a_checkpoint_of_another_model_is_refused_where_the_model_is_built(
    tmp_path: Path, whole: list[pl.DataFrame]
) -> None:
    out = tmp_path / "run"
    interrupted(out)
    ((newer, _),) = generations(out).values()
    changed(parameters=[])(checkpoints_dir(out) / newer)
    heard = Heard()
    run(out, heard)
    assert f"{newer} is not used: its parameters have other names or shapes" in heard.said[0]
    is_whole(out, whole)


def test_a_checkpoint_that_was_trained_on_other_data_is_refused(
    tmp_path: Path, whole: list[pl.DataFrame]
) -> None:
    """A person's data factory may have been edited meanwhile."""
    out = tmp_path / "run"
    interrupted(out)
    ((newer, older),) = generations(out).values()
    for name in (newer, older):
        changed(data=["another hash"] * LANES)(checkpoints_dir(out) / name)
    heard = Heard()
    run(out, heard)
    assert f"{newer} is not used: the data of trial" in heard.said[0]
    assert "are others than when it was written. Its trials go on from their start." in heard.said[0]
    is_whole(out, whole)


def test_a_run_that_was_begun_on_a_device_that_is_not_here(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    for device, why in (
        ("cuda:77", "was begun on cuda:77, which is not here"),
        (5, "not one of this version's"),
    ):
        plan = Plan("lanes", "cpu", 1, 1, "", ()).as_dict()
        write_json(out / "plan.json", {**plan, "device": device})
        with pytest.raises(RidgelineError, match=why):
            Study(**SPEC).run(out)


def test_where_nothing_can_be_saved_training_goes_on(tmp_path: Path, whole: list[pl.DataFrame]) -> None:
    out = tmp_path / "run"
    interrupted(out)
    for path in checkpoints_dir(out).iterdir():
        path.unlink()
    checkpoints_dir(out).rmdir()
    checkpoints_dir(out).write_text("in the way")
    heard = Heard()
    run(out, heard)
    (sentence,) = heard.said
    assert "cannot be written (File exists); training goes on" in sentence
    checkpoints_dir(out).unlink()
    is_whole(out, whole)


CPU_SAYS = "[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8"
SHORT = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    "cpu": RuntimeError(CPU_SAYS),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."),
    "python": MemoryError(),
}


def short(patch: pytest.MonkeyPatch, most: int, error: Exception, at: int | None) -> list[int]:
    """Lets memory run out with more than `most` lanes: when a pack is built, or at an update; the packs built."""
    sizes: list[int] = []
    build, update = Pack.__init__, Pack.update

    def built(self: Pack, programs: Any, *args: Any) -> None:
        sizes.append(len(programs))
        if at is None and len(programs) > most:
            raise error
        build(self, programs, *args)

    def updated(self: Pack) -> Any:
        if at is not None and len(self.lanes) > most and self.step >= at:
            raise error
        return update(self)

    patch.setattr(Pack, "__init__", built)
    patch.setattr(Pack, "update", updated)
    return sizes


@pytest.mark.parametrize(("kind", "at"), [("cuda", None), ("cpu", 0), ("windows", 6), ("python", 6)])
def test_memory_that_runs_out_halves_the_pack(
    tmp_path: Path, whole: list[pl.DataFrame], monkeypatch: pytest.MonkeyPatch, kind: str, at: int | None
) -> None:
    out, heard = tmp_path / "run", Heard()
    sizes = short(monkeypatch, 3, SHORT[kind], at)
    run(out, heard)
    # after update 4 two lanes have left
    assert sizes == ([6, 2, 2] if at == 6 else [6, 3, 3])
    (sentence,) = heard.said
    assert f"memory ran out with {4 if at == 6 else 6} lanes while training" in sentence
    assert "and 5 more: they go on as packs of" in sentence
    assert heard.done == 6
    is_whole(out, whole)
    notes = []
    for path in sorted((out / "weights").iterdir()):
        with safe_open(path, "pt") as file:
            notes.append(file.metadata().get("halved"))
    expected = (
        ["memory ran out with 4 lanes"] * 4 + [None] * 2 if at == 6 else ["memory ran out with 6 lanes"] * 6
    )
    assert sorted(notes, key=str) == sorted(expected, key=str)


def test_halves_go_on_from_the_checkpoint(
    tmp_path: Path, whole: list[pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    short(monkeypatch, 3, MemoryError(), 6)
    update = Pack.update

    def counted(self: Pack) -> Any:
        found = update(self)
        made.append(self.step)
        return found

    monkeypatch.setattr(Pack, "update", counted)
    run(tmp_path / "run", Heard())
    assert made.count(6) == 1
    assert made.count(7) == 2
    is_whole(tmp_path / "run", whole)


def test_halves_that_are_interrupted_go_on(
    tmp_path: Path, whole: list[pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One half has gone further, the other stands where memory ran out: in the whole pack's checkpoint."""
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        short(patch, 3, MemoryError(), 6)
        interrupted(out)  # at the first half's update 12, since the whole pack reported 4
    kept = [name for names in generations(out).values() for name in names]
    steps = sorted(read_sealed(checkpoints_dir(out) / name)[1]["step"] for name in kept)
    assert steps == [5, 6, 10, 11]
    heard = Heard()
    run(out, heard)
    assert heard.said == []
    assert heard.steps_told[0] == 6 * 2 + 11 * 2
    is_whole(out, whole)


def test_a_pair_that_does_not_fit_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()
    short(monkeypatch, 1, SHORT["cpu"], None)
    with pytest.raises(
        RidgelineError, match=r"memory ran out while training .* in a pack that cannot be smaller"
    ):
        run(tmp_path / "run", heard)
    assert len(heard.said) == 2


def test_other_failures_are_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    sizes = short(monkeypatch, 1, wrong, 0)
    with pytest.raises(RidgelineError, match=r"failed while training \(RuntimeError: mat1 and mat2"):
        run(tmp_path / "run", Heard())
    assert sizes == [6]
    assert not out_of_memory(wrong)
    assert not out_of_memory(ValueError("out of memory"))
