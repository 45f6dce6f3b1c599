"""What the command diagnose judges: logs arm by arm, and run folders as the studies that they are."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ridgeline.diagnosis import History, Role, Verdict, diagnose, read
from ridgeline.diagnosis.between import resamples_for
from ridgeline.errors import RidgelineError
from ridgeline.report import Results, answer

STDIN = "-"


@dataclass(frozen=True)
class Options:
    """What the command line says of the logs; a run folder of ours needs none of it."""

    columns: Mapping[Role, str] = field(default_factory=dict)
    format: str | None = None
    null_loss: float | None = None
    n_classes: int | None = None
    target: float | None = None
    delta: float | None = None

    def given(self) -> list[str]:
        """The options that are set, as they are written."""
        flags = {
            "--columns": self.columns or None,
            "--format": self.format,
            "--null-loss": self.null_loss,
            "--classes": self.n_classes,
            "--target": self.target,
            "--delta": self.delta,
        }
        return [flag for flag, value in flags.items() if value is not None]


@dataclass(frozen=True)
class Judged:
    """One arm with its verdict.

    Attributes:
        source: the files it comes from.
        beside: of a study's arm, what the other arms show: relation, effect, weaker.
    """

    arm: str
    source: tuple[str, ...]
    histories: tuple[History, ...]
    verdict: Verdict
    beside: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Study:
    """A run folder's answer."""

    source: str
    delta: float | None
    answer: tuple[str, ...]


def judge(files: Sequence[str], options: Options, resample: bool) -> tuple[list[Judged], list[Study], int]:
    """Every arm of every file judged, the studies among them, and how many resamples an arm got.

    Raises:
        RidgelineError: for what cannot be read, and options that have no effect.
    """
    if list(files).count(STDIN) > 1:
        raise RidgelineError("- stands for standard input, which can be read once; name it once.")
    folders = [file for file in files if _is_run(file)]
    logs = {file: _read(file, options) for file in dict.fromkeys(files) if file not in folders}
    if folders and not logs and options.given():
        raise RidgelineError(
            f"{options.given()[0]} has no effect: {folders[0]} is a run folder, which says that itself; leave it out."
        )
    opened = {file: Results.open(file) for file in folders}
    arms = arms_of(logs)
    total = len(arms) + sum(result.trials["arm"].n_unique() for result in opened.values())
    resamples = resamples_for(total) if resample else 0
    judged = [
        Judged(arm, tuple(sources), tuple(runs), _verdict(arm, runs, options, resamples))
        for arm, (sources, runs) in arms.items()
    ]
    studies = []
    for file, result in opened.items():
        numbers = result.numbers(resamples=resamples)
        studies.append(Study(file, numbers["delta"], tuple(answer(numbers))))
        judged += _of_study(file, result, numbers, prefixed=len(files) > 1)
    return judged, studies, resamples


def _is_run(file: str) -> bool:
    return file != STDIN and any((Path(file) / name).exists() for name in ("trials.parquet", "study.yaml"))


def _read(file: str, options: Options) -> list[History]:
    if file != STDIN and not Path(file).exists():
        raise RidgelineError(f"{file} does not exist; check the path.")
    given: dict[str, Any] = {"columns": options.columns or None, "format": options.format}
    if file != STDIN:
        return read(Path(file), **given)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "standard input"
        path.write_bytes(sys.stdin.buffer.read())
        try:
            return read(path, **given)
        except RidgelineError as error:
            raise RidgelineError(str(error).replace(f"{folder}{os.sep}", "")) from None


def arms_of(logs: Mapping[str, Sequence[History]]) -> dict[str, tuple[list[str], list[History]]]:
    """The sources and runs of each arm: as the log names it, else by its file.

    Runs of several files that name the same arm are its seeds.
    """
    names = [Path(file).name for file in logs]
    found: dict[str, tuple[list[str], list[History]]] = {}
    for file, runs in logs.items():
        name = "standard input" if file == STDIN else Path(file).name
        alone = file if names.count(name) > 1 else name
        for run in runs:
            sources, members = found.setdefault(run.arm or alone, ([], []))
            members.append(run)
            if file not in sources:
                sources.append(file)
    return found


def _verdict(arm: str, runs: Sequence[History], options: Options, resamples: int) -> Verdict:
    same = [History(run.curves, arm, run.run, run.unit, run.notes) for run in runs]
    return diagnose(
        same,
        null_loss=options.null_loss,
        n_classes=options.n_classes,
        target=options.target,
        delta=options.delta,
        resamples=resamples,
    )


def _of_study(file: str, result: Results, numbers: Mapping[str, Any], prefixed: bool) -> list[Judged]:
    verdicts = result.verdicts(numbers)
    return [
        Judged(
            f"{Path(file).name}: {arm['arm']}" if prefixed else arm["arm"],
            (file,),
            tuple(result.histories(arm["arm"])),
            verdicts[arm["arm"]],
            {key: arm[key] for key in ("relation", "effect", "weaker")},
        )
        for arm in numbers["arms"]
    ]
