"""Executors: the packs and trials still to do, one after another here, or in one process a core."""

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from ridgeline.errors import RidgelineError
from ridgeline.study._checkpoints import EVERY_S
from ridgeline.study._execute import Watch, execute, prepared
from ridgeline.study._packs import Unit
from ridgeline.study._plan import Plan

# An endless wait was seen to sleep through Ctrl-C; a short one gives the signal its turn.
_TICK_S = 0.2


class Progress(Protocol):
    """What a run tells whoever watches it."""

    def start(self, trials: int, done: int, steps_a_trial: int) -> None: ...

    def steps(self, count: int) -> None: ...

    def trial_done(self) -> None: ...

    def say(self, sentence: str) -> None: ...


@dataclass(frozen=True)
class Job:
    """What to run, and where.

    Attributes:
        save_every_s: seconds between two checkpoints of a pack.
    """

    run: Path
    spec: dict[str, Any]
    units: Sequence[Unit]
    plan: Plan
    data_dir: Path | None
    save_every_s: float = EVERY_S


def run_here(job: Job, progress: Progress) -> None:
    """Train in this process, one after another; threads are set back afterwards."""
    with prepared(job.plan.threads, job.plan.products) as numerics:
        for unit in job.units:
            execute(
                job.run,
                unit,
                device=torch.device(job.plan.device),
                numerics=numerics,
                data_dir=job.data_dir,
                save_every_s=job.save_every_s,
                watch=Watch(progress.steps, progress.trial_done, progress.say),
            )


def run_processes(job: Job, progress: Progress) -> None:
    """Train in `plan.processes` processes.

    Raises:
        RidgelineError: when a trial fails or a worker is killed; the others are ended, finished trials kept.
    """
    inbox: queue.Queue[tuple[subprocess.Popen[str], str]] = queue.Queue()
    workers: list[subprocess.Popen[str]] = []
    waiting = list(reversed(job.units))
    flight: dict[int, Unit] = {}
    try:
        for _ in range(min(job.plan.processes, len(waiting))):
            worker = _start(job, inbox)
            workers.append(worker)
            flight[worker.pid] = _give(worker, waiting.pop())
        while flight:
            try:
                worker, line = inbox.get(timeout=_TICK_S)
            except queue.Empty:
                continue
            if not line and worker.pid in flight:
                raise _lost(worker, flight[worker.pid])
            message = json.loads(line or "{}")
            if "error" in message:
                raise RidgelineError(message["error"])
            if "said" in message:
                progress.say(message["said"])
            progress.steps(message.get("steps", 0))
            for _ in range(message.get("trials", 0)):
                progress.trial_done()
            if "done" in message:
                del flight[worker.pid]
                if waiting:
                    flight[worker.pid] = _give(worker, waiting.pop())
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def _start(job: Job, inbox: "queue.Queue[tuple[subprocess.Popen[str], str]]") -> subprocess.Popen[str]:
    # A session of its own: Ctrl-C reaches this process alone, which then ends its workers.
    worker = subprocess.Popen(
        [sys.executable, "-m", "ridgeline.study._worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    setup = {
        "run": str(job.run),
        "spec": job.spec,
        "threads": job.plan.threads,
        "products": job.plan.products,
        "device": job.plan.device,
        "data_dir": None if job.data_dir is None else str(job.data_dir),
        "save_every_s": job.save_every_s,
        "sys_path": sys.path,
    }
    _write(worker, setup)
    threading.Thread(target=_listen, args=(worker, inbox), daemon=True).start()
    return worker


def _listen(worker: subprocess.Popen[str], inbox: "queue.Queue[tuple[subprocess.Popen[str], str]]") -> None:
    """Pass a worker's lines on, and an empty one when it has ended."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    with worker.stdout:
        for line in worker.stdout:
            inbox.put((worker, line))
    inbox.put((worker, ""))
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.close()


def _give(worker: subprocess.Popen[str], unit: Unit) -> Unit:
    names = [t.trial_id for t in unit.trials]
    message = {"trials": names, "engine": unit.engine, "rule": unit.rule, "begun": unit.begun}
    message |= {"done": sorted(unit.done)}
    try:
        _write(worker, message)
    except BrokenPipeError:
        raise _lost(worker, unit) from None
    return unit


def _write(worker: subprocess.Popen[str], value: object) -> None:
    assert worker.stdin is not None
    worker.stdin.write(json.dumps(value) + "\n")
    worker.stdin.flush()


def _lost(worker: subprocess.Popen[str], unit: Unit) -> RidgelineError:
    code = worker.wait()
    why = f"signal {-code}, often a sign that memory ran out" if code < 0 else f"exit code {code}"
    return RidgelineError(
        f"the process training {unit.label} ended ({why}); finished trials are kept, run "
        f"the same command to go on."
    )
