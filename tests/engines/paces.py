"""Made-up paces in place of measured ones, and what was asked about."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ridgeline.lanes import Pace, Program
from ridgeline.study import _check, _measure, _tried


@dataclass
class Asked:
    """What was measured.

    Attributes:
        probed: each trial alone.
        threads: for each of them, how many there were.
        packs: the lanes of each pack, with one thread; `threaded`, with more.
        within: the seconds that each measuring was given.
    """

    probed: list[Any] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    packs: list[int] = field(default_factory=list)
    threaded: list[int] = field(default_factory=list)
    within: list[float] = field(default_factory=list)


def worth_it(monkeypatch: pytest.MonkeyPatch, cores: int = 2) -> None:
    """Any work is worth measuring, on so many cores, and the clock of what measuring may take stands still."""
    monkeypatch.setattr(_check, "worth_measuring", lambda *_: True)
    monkeypatch.setattr(_check, "_cores", lambda: cores)
    monkeypatch.setattr(_measure, "time", SimpleNamespace(perf_counter=lambda: 0.0))


def paces(
    monkeypatch: pytest.MonkeyPatch,
    *,
    alone: float,
    fixed: float = 0.0,
    a_lane: float = 0.0,
    step: float = 0.001,
    start: float = 0.0,
    cores: int = 2,
    threads_gain: float = 1.0,
) -> Asked:
    """Have every trial take `alone` seconds, and every pack `fixed` and `a_lane` for each lane.

    Args:
        threads_gain: how many times faster a pack is with all threads.
        step, start: of one trial, as far as they are looked at by themselves.
    """
    worth_it(monkeypatch, cores)
    asked = Asked()

    class Whole(Pace):
        """Its `point` is the whole time."""

        def seconds(self, training: Any) -> float:
            return self.point

    def of_trial(probed: Any, device: torch.device, within: float) -> Pace:
        asked.probed.append(probed)
        asked.threads.append(torch.get_num_threads())
        asked.within.append(within)
        return Whole(start, step, alone, 0.0)

    def of_pack(programs: Sequence[Program], device: torch.device, rule: str, within: float) -> Pace:
        many = torch.get_num_threads() > 1
        (asked.threaded if many else asked.packs).append(len(programs))
        asked.within.append(within)
        seconds = fixed + a_lane * len(programs)
        return Whole(0.0, step, seconds / threads_gain if many else seconds, 0.0)

    monkeypatch.setattr(_tried, "pace_of", of_trial)
    monkeypatch.setattr(_tried, "pace_of_pack", of_pack)
    return asked
