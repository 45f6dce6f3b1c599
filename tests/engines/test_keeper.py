"""When checkpoints are written, in which order they take each other's place, and what a full disk does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ridgeline.lanes import Checkpoint, ForeignCheckpointError
from ridgeline.store import DamagedError, write_sealed
from ridgeline.study._checkpoints import (
    _FACTS,
    FORMAT,
    Keeper,
    check_maker,
    checkpoints_dir,
    drop_checkpoints,
    generations,
    made_by,
    name_of,
    read_checkpoint,
)

MAKER = made_by("grouped", "torch", "cpu")


class Time:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def unheard(sentence: str) -> None:
    """Nothing should be said."""
    raise AssertionError(sentence)


def keeper(
    run: Path, latest: str = "", say: Callable[[str], None] = unheard, clock: Time | None = None
) -> Keeper:
    """A keeper of pack "p" that writes once a minute."""
    return Keeper(run, "p", MAKER, say, 60.0, latest, clock or Time())


def state(step: int) -> Checkpoint:
    """The checkpoint of an update."""
    rest = dict.fromkeys(_FACTS)
    return Checkpoint({"weights": torch.full((3,), float(step))}, {**rest, "lanes": ["a"], "step": step})


def steps(run: Path) -> list[int]:
    """The updates of the checkpoints of pack "p", the newer first."""
    return [read_checkpoint(checkpoints_dir(run) / name).step for name in generations(run)["p"]]


def test_one_is_due_when_the_time_has_passed_and_costs_little_of_it() -> None:
    clock = Time()
    ours = keeper(Path("nowhere"), clock=clock)
    for now, due in ((100.0, False), (159.9, False), (160.0, True)):
        clock.now = now
        assert ours.due is due


def test_a_dear_one_makes_the_next_one_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Time()
    ours = keeper(tmp_path, clock=clock)

    def slow(*_: object) -> None:
        clock.now += 10.0

    monkeypatch.setattr("ridgeline.study._checkpoints.write_sealed", slow)
    ours.write(state(1))
    for since, due in ((199.0, False), (201.0, True)):
        clock.now = 110.0 + since
        assert ours.due is due


def test_the_one_before_stays_until_the_new_one_stands(tmp_path: Path) -> None:
    ours = keeper(tmp_path)
    for step, expected in ((1, [1]), (2, [2, 1]), (3, [3, 2])):
        ours.write(state(step))
        assert steps(tmp_path) == expected
        assert ours.latest == generations(tmp_path)["p"][0]
    assert sorted(path.name for path in checkpoints_dir(tmp_path).iterdir()) == [
        "p.previous.safetensors",
        "p.safetensors",
    ]
    ours.remove()
    assert generations(tmp_path) == {}


def test_a_mark_says_who_began_and_puts_nothing_off(tmp_path: Path) -> None:
    clock = Time()
    ours = keeper(tmp_path, clock=clock)
    clock.now = 130.0
    ours.mark(["a", "b"])
    found = read_checkpoint(checkpoints_dir(tmp_path) / ours.latest)
    assert (found.lanes, found.step, found.tensors) == (["a", "b"], 0, {})
    clock.now = 160.0
    assert ours.due
    ours.write(state(1))
    assert steps(tmp_path) == [1, 0]


def test_a_bad_one_never_takes_the_place_of_a_good_one(tmp_path: Path) -> None:
    first = keeper(tmp_path)
    first.write(state(1))
    first.write(state(2))
    (checkpoints_dir(tmp_path) / "p.safetensors").write_bytes(b"cut off")
    second = keeper(tmp_path, latest="p.previous.safetensors")
    second.write(state(3))
    assert steps(tmp_path) == [3, 1]
    second.write(state(4))
    assert steps(tmp_path) == [4, 3]


def test_a_pack_that_goes_on_from_anothers_checkpoint_leaves_it(tmp_path: Path) -> None:
    Keeper(tmp_path, "whole", MAKER, unheard).write(state(1))
    half = keeper(tmp_path, latest="whole.safetensors")
    half.write(state(2))
    half.write(state(3))
    half.remove()
    assert generations(tmp_path) == {"whole": ["whole.safetensors"]}


def test_a_full_disk_is_said_once_and_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    ours = keeper(tmp_path, say=said.append)
    ours.write(state(1))
    with monkeypatch.context() as patch:
        patch.setattr("ridgeline.store._sealed.save_file", full)
        ours.write(state(2))
        ours.write(state(3))
    (sentence,) = said
    assert str(checkpoints_dir(tmp_path) / "p.safetensors") in sentence
    assert "No space left on device" in sentence
    assert "training goes on" in sentence
    assert (steps(tmp_path), ours.latest) == ([1], "p.previous.safetensors")
    ours.write(state(4))
    assert steps(tmp_path) == [4, 1]


def full(tensors: object, file: Path, metadata: object) -> None:
    """What a full disk does."""
    file.write_bytes(b"half")
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    checkpoints_dir(tmp_path).write_text("a file")
    said: list[str] = []
    ours = keeper(tmp_path, say=said.append)
    ours.write(state(1))
    assert "cannot be written (File exists)" in said[0]
    assert ours.latest == ""


def test_a_checkpoint_says_who_made_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = keeper(tmp_path)
    ours.write(state(1))
    path = checkpoints_dir(tmp_path) / ours.latest
    check_maker(read_checkpoint(path), MAKER)
    for other, why in (
        (
            made_by("broadcast", "torch", "cpu"),
            "rule was 'grouped' when it was written and is 'broadcast' here",
        ),
        (made_by("grouped", "onednn", "cpu"), "products was 'torch'"),
        (made_by("grouped", "torch", "cuda:1"), "device was 'cpu' when it was written and is 'cuda' here"),
        ({**MAKER, "torch": "2.0.0"}, "torch was"),
    ):
        with pytest.raises(ForeignCheckpointError, match=why):
            check_maker(read_checkpoint(path), other)
    monkeypatch.setattr("ridgeline.study._checkpoints.FORMAT", FORMAT + 1)
    with pytest.raises(
        ForeignCheckpointError, match=f"its format is {FORMAT}, this version reads {FORMAT + 1}"
    ):
        read_checkpoint(path)


def test_half_written_ones_are_not_taken_for_whole(tmp_path: Path) -> None:
    keeper(tmp_path).write(state(1))
    (checkpoints_dir(tmp_path) / ".p.safetensors.123").write_bytes(b"half")
    assert generations(tmp_path) == {"p": ["p.safetensors"]}
    with pytest.raises(DamagedError):
        read_checkpoint(checkpoints_dir(tmp_path) / "q.safetensors")
    drop_checkpoints(tmp_path)
    assert not checkpoints_dir(tmp_path).exists()
    assert generations(tmp_path) == {}


def test_a_packs_name_follows_from_its_trials() -> None:
    assert name_of(["a", "b"]) == name_of(["b", "a"]) != name_of(["a"])


@pytest.mark.parametrize("facts", [{"format": 1}, {"format": 1, "made_by": {}}, ["format"]])
def test_facts_that_lack_what_is_read_are_refused(tmp_path: Path, facts: Any) -> None:
    write_sealed(tmp_path / "x.safetensors", {}, facts)
    with pytest.raises(ForeignCheckpointError, match="neither its lanes nor what made it"):
        read_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("change", [{"lanes": 3}, {"lanes": [3]}, {"step": "one"}, {"own": ...}])
def test_facts_that_are_incomplete_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    whole = {**state(1).facts, "format": FORMAT, "made_by": MAKER}
    facts = {key: value for key, value in {**whole, **change}.items() if value is not ...}
    write_sealed(tmp_path / "x.safetensors", {}, facts)
    with pytest.raises(ForeignCheckpointError, match="what it says of its lanes is incomplete"):
        read_checkpoint(tmp_path / "x.safetensors")
