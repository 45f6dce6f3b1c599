"""The whole command: `ridgeline run` on the 64-lane MLP from start to end, and where its time goes."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import polars as pl

from benchmarks.engines.workloads import WORKS

_COMMAND = "from ridgeline.cli import main; main()"
_SHOWN = 14


def show(rounds: int) -> None:
    """Print the command's time, its parts, and what its imports take."""
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "study.yaml"
        spec.write_text(WORKS["mlp-64"].study().to_yaml())
        plain = [
            _seconds(["-c", _COMMAND, "run", str(spec), "--out", f"{folder}/plain{k}"]) for k in range(rounds)
        ]
        parts = [_parts(spec, Path(folder) / f"watched{k}") for k in range(rounds)]
    print(f"\nridgeline run, mlp-64, 64 lanes: {_spread(plain)}")
    for name in parts[0]:
        print(f"  {name:32}{_spread([each[name] for each in parts])}")
    print("\nstart-up, without a study:")
    for name, code in (("python", "pass"), ("import torch", "import torch"), ("ridgeline --help", _COMMAND)):
        print(f"  {name:32}{_spread([_seconds(['-c', code, '--help']) for _ in range(rounds)])}")
    print(
        f"\nimports of ridgeline --help, by -X importtime, which adds to them (self time, {_SHOWN} largest):"
    )
    for name, seconds in _imports():
        print(f"  {name:32}{seconds:.3f} s")


def _parts(spec: Path, out: Path) -> dict[str, float]:
    """Seconds of each part; a part of another one is indented."""
    file = out.with_suffix(".json")
    asked = [str(file), f"{time.time()}", "run", str(spec), "--out", str(out)]
    _seconds(["-m", "benchmarks.engines.stopwatch", *asked])
    found = defaultdict(float, json.loads(file.read_text()))
    plan = json.loads((out / "plan.json").read_text())
    trained = float(pl.read_parquet(out / "trials.parquet")["seconds"].sum()) / plan["processes"]
    named = ("start-up", "planning", "running", "tables", "report", "answer")
    parts = {name: found[name] for name in named[:3]}
    parts |= {"  training": trained, "  workers' start-up, store": found["running"] - trained}
    parts |= {name: found[name] for name in named[3:]}
    return {
        **parts,
        "the rest": found["in all"] - sum(found[name] for name in named),
        "in all": found["in all"],
    }


def _seconds(arguments: list[str]) -> float:
    """Of this Python with these arguments, start-up included."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr}")
    return time.perf_counter() - began


def _spread(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):7.2f} s ({min(seconds):.2f}–{max(seconds):.2f})"


def _imports() -> list[tuple[str, float]]:
    """Self time of the modules of each package; ridgeline and torch by their parts."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", _COMMAND, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = defaultdict(float)
    for line in done.stderr.splitlines():
        own, _, name = (each.strip() for each in line.removeprefix("import time:").split("|"))
        if own.isdigit():
            found[_package(name)] += int(own) / 1e6
    largest = sorted(found.items(), key=lambda each: -each[1])
    return [*largest[:_SHOWN], ("all", sum(found.values()))]


def _package(name: str) -> str:
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] in ("ridgeline", "torch") else parts[0]
