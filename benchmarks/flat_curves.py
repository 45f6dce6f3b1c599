"""How often `overfitting` is said of simulated curves, and how long a verdict takes.

    python -m benchmarks.flat_curves --curves 500

Validation loss is flat, falls, or rises after a minimum, with AR(1) noise of standard deviation 0.02; where it
falls from 2 to 0.5 first, δ is 0.03. On flat and falling curves every `overfitting` is false, and must stay under
5 %.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.critical_rise import flat
from ridgeline.diagnosis import Curve, History, diagnose, read

CORRELATIONS = (0.0, 0.5, 0.9)
POINTS = (10, 100, 1_000)
NOISE = 0.02


def towards(n: int, start: float, end: float, rate: float) -> np.ndarray:
    """From start to nearly end, exponentially, shape (n,)."""
    return end + (start - end) * np.exp(-rate * np.linspace(0.0, 1.0, n))


def rising(n: int, rise: float) -> np.ndarray:
    """From 2 to 0.5 over the first third, then up by `rise`, shape (n,)."""
    late = np.maximum(np.linspace(0.0, 1.0, n) - 1.0 / 3.0, 0.0) * 1.5
    return towards(n, 2.0, 0.5, 25.0) + rise * late


# By name: training and validation loss without noise; training falls to memory, or rests.
WORLDS: dict[str, Callable[[int], tuple[np.ndarray, np.ndarray]]] = {
    "flat, training falls": lambda n: (towards(n, 0.5, 0.3, 3.0), np.full(n, 0.5)),
    "flat, training rests": lambda n: (np.full(n, 0.4), np.full(n, 0.5)),
    "falls, then flat": lambda n: (towards(n, 2.0, 0.3, 15.0), towards(n, 2.0, 0.5, 15.0)),
    "falls to the end": lambda n: (towards(n, 2.0, 0.3, 2.0), towards(n, 2.0, 0.5, 2.0)),
    "rises 0.05": lambda n: (towards(n, 2.0, 0.3, 8.0), rising(n, 0.05)),
    "rises 0.1": lambda n: (towards(n, 2.0, 0.3, 8.0), rising(n, 0.1)),
    "rises 0.2": lambda n: (towards(n, 2.0, 0.3, 8.0), rising(n, 0.2)),
    "rises 0.4": lambda n: (towards(n, 2.0, 0.3, 8.0), rising(n, 0.4)),
}


def histories(world: str, n: int, correlation: float, curves: int, seed: int = 0) -> Iterator[History]:
    """So many histories of a world, with noise on both curves."""
    random = np.random.default_rng(seed)
    train, val = WORLDS[world](n)
    for _ in range(curves):
        noise = [NOISE * flat(random, n, correlation) for _ in range(2)]
        yield History({"train_loss": Curve.of(train + noise[0]), "val_loss": Curve.of(val + noise[1])})


def rate(world: str, n: int, correlation: float, curves: int) -> float:
    """The share of curves said to be overfitting."""
    drawn = histories(world, n, correlation, curves)
    return float(np.mean([diagnose(h, resamples=0).kind == "overfitting" for h in drawn]))


def one_verdict(repeats: int = 50) -> float:
    """Median milliseconds for a history of 1,000 points, without resampling."""
    history = next(histories("rises 0.2", 1_000, 0.5, 1))
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        diagnose(history, resamples=0)
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def one_file(count: int = 1_000, points: int = 100) -> float:
    """Seconds for reading and judging so many histories from one CSV."""
    drawn = histories("rises 0.2", points, 0.5, count)
    frames = [
        pl.DataFrame(
            {"arm": f"arm-{i}", "step": h.curves["val_loss"].steps.astype(int)}
            | {role: h.curves[role].values for role in ("train_loss", "val_loss")}
        )
        for i, h in enumerate(drawn)
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "log.csv"
        pl.concat(frames).write_csv(file)
        began = time.perf_counter()
        found = [diagnose(history, resamples=0) for history in read(file)]
        seconds = time.perf_counter() - began
    assert len(found) == count, f"{len(found)} histories were read of {count}"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--curves", type=int, default=500, help="curves for each number shown")
    options = parser.parse_args()
    cells = [(n, correlation) for n in POINTS for correlation in CORRELATIONS]
    print("share said to be overfitting, in %")
    print(f"{'points':24}" + "".join(f"{n:7d}" for n, _ in cells))
    print(f"{'φ':24}" + "".join(f"{correlation:7.1f}" for _, correlation in cells))
    for world in WORLDS:
        shown = [100.0 * rate(world, n, correlation, options.curves) for n, correlation in cells]
        print(f"{world:24}" + "".join(f"{value:7.1f}" for value in shown), flush=True)
    print(f"\none history of 1,000 points: {one_verdict():.2f} ms")
    print(f"1,000 histories of 100 points from one CSV: {one_file():.1f} s")


if __name__ == "__main__":
    main()
