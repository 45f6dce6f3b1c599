"""Where the checkpoints of a run's packs lie: two generations each, named by its trials, gone when it is done."""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import torch

from ridgeline.errors import RidgelineError
from ridgeline.lanes import Checkpoint, ForeignCheckpointError, Products
from ridgeline.store import processor, read_sealed, write_sealed

FORMAT = 2
# Seconds between two checkpoints of a pack, and how many times longer than the last one took it trains at least.
EVERY_S = 60.0
# What a checkpoint of a pack that has begun says of it.
_FACTS = {"data", "updates", "seconds", "parameters", "columns", "whole", "running", "own"}
_COSTS = 20.0

_SUFFIX, _PREVIOUS = ".safetensors", ".previous"


def checkpoints_dir(run: Path) -> Path:
    """Where they lie while packs train."""
    return run / "checkpoints"


def drop_checkpoints(run: Path) -> None:
    """Remove what is left of them when every pack is done."""
    shutil.rmtree(checkpoints_dir(run), ignore_errors=True)


def name_of(trial_ids: Iterable[str]) -> str:
    """The name of a pack of these trials."""
    return hashlib.sha256(" ".join(sorted(trial_ids)).encode()).hexdigest()[:16]


def pack_of(file: str) -> str:
    """The name of the pack whose checkpoint has this file name."""
    return file.removesuffix(_SUFFIX).removesuffix(_PREVIOUS)


def generations(run: Path) -> dict[str, list[str]]:
    """The file names of each pack's checkpoints, the newer one first."""
    found: dict[str, list[str]] = {}
    for path in sorted(checkpoints_dir(run).glob(f"[!.]*{_SUFFIX}"), key=lambda p: _PREVIOUS in p.name):
        found.setdefault(pack_of(path.name), []).append(path.name)
    return found


def made_by(rule: str, products: Products, device: str) -> dict[str, str]:
    """What decides the last bits: a checkpoint is of use only where all of it is the same."""
    versions = {
        "ridgeline": metadata.version("ridgeline"),
        "torch": torch.__version__,
        "processor": processor(),
    }
    return {**versions, "device": torch.device(device).type, "products": products, "rule": rule}


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint that is whole.

    Raises:
        DamagedError: where it is not.
        ForeignCheckpointError: where another version wrote it.
    """
    tensors, facts = read_sealed(path)
    if not isinstance(facts, dict) or not facts.keys() >= {"format", "made_by", "lanes", "step"}:
        raise ForeignCheckpointError("it names neither its lanes nor what made it")
    if facts["format"] != FORMAT:
        raise ForeignCheckpointError(f"its format is {facts['format']!r}, this version reads {FORMAT}")
    lanes, step = facts["lanes"], facts["step"]
    whole = type(step) is int and isinstance(lanes, list) and all(isinstance(lane, str) for lane in lanes)
    if not whole or (step and not facts.keys() >= _FACTS):
        raise ForeignCheckpointError("what it says of its lanes is incomplete")
    return Checkpoint(tensors, facts)


def check_maker(found: Checkpoint, expected: Mapping[str, str]) -> None:
    """Refuse a checkpoint that was made in another way.

    Raises:
        ForeignCheckpointError: naming the first difference.
    """
    for key, here in expected.items():
        there = found.facts["made_by"].get(key)
        if there != here:
            raise ForeignCheckpointError(f"{key} was {there!r} when it was written and is {here!r} here")


def not_used(path: Path, why: RidgelineError, instead: str) -> str:
    """What a person is told of a checkpoint that is refused."""
    return f"{path} is not used: {why}. Its trials go on from {instead}."


class Keeper:
    """Writes the checkpoints of one pack.

    Attributes:
        latest: the file name of the last good one; "" where there is none.
    """

    def __init__(
        self,
        run: Path,
        pack: str,
        made_by: Mapping[str, str],
        say: Callable[[str], None],
        every_s: float = EVERY_S,
        latest: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A keeper that writes when `every_s` seconds have passed, and costs a pack little of its time.

        Args:
            say: told once when nothing can be written.
            latest: the checkpoint from which the pack goes on.
        """
        self.home, self.made_by, self.say = checkpoints_dir(run), made_by, say
        self.every_s, self.latest, self.clock = every_s, latest, clock
        self.current, self.previous = f"{pack}{_SUFFIX}", f"{pack}{_PREVIOUS}{_SUFFIX}"
        self.due_at = clock() + every_s
        self.failed = False

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self.clock() >= self.due_at

    def mark(self, names: Sequence[str]) -> None:
        """Write down which lanes the pack begins with: whoever begins anew does so with the same."""
        self._put(Checkpoint({}, {"lanes": list(names), "step": 0}))

    def write(self, found: Checkpoint) -> None:
        """Write a checkpoint beside the last good one; training goes on where that fails."""
        began = self.clock()
        self._put(found)
        now = self.clock()
        self.due_at = now + max(self.every_s, _COSTS * (now - began))

    def _put(self, found: Checkpoint) -> None:
        facts = {"format": FORMAT, "made_by": dict(self.made_by), **found.facts}
        try:
            self.home.mkdir(exist_ok=True)
            if self.latest == self.current:  # only a good one takes the place of the one before
                with contextlib.suppress(FileNotFoundError):
                    (self.home / self.current).replace(self.home / self.previous)
                self.latest = self.previous
            write_sealed(self.home / self.current, found.tensors, facts)
            self.latest = self.current
        except OSError as error:
            if not self.failed:
                self.say(
                    f"{self.home / self.current} cannot be written ({error.strerror or error}); training goes on, "
                    f"and what an interruption would lose grows."
                )
            self.failed = True

    def remove(self) -> None:
        """Remove both generations: the pack is done."""
        for name in (self.current, self.previous):
            with contextlib.suppress(OSError):  # left over, it does no harm
                (self.home / name).unlink()
