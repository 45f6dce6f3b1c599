"""Lanes beside what people run today: seconds a trial, all in, on the same work, side by side.

    python -m benchmarks.engines
    python -m benchmarks.engines mlp-64 mlp-784 --share 0.1 --rounds 5

Arms, interleaved, medians over rounds, denormals flushed everywhere:

- tutorial: the loop as it is published: default optimizer, penalty by autograd, DataLoader.
- tuned: fused optimizer, tensors in memory (the solo engine).
- processes: tuned, one process a core, one thread in each.
- lanes: one pack.
- lanes×cores: one pack a core, each of a share of the lanes, one thread in each.

Beside other jobs two threads of one product wait for each other; `--threads 1` then measures what the arms
cost, not what the machine is busy with.

Every arm builds its models, trains, evaluates every 100 steps and at the end. Processes are up before the
clock starts. `--share` trains that share of the steps, at least 60: what is paid once a trial then counts
for more than in a whole run.
"""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ridgeline.data import Data, Splits, draw
from ridgeline.lanes import LossName, OptimizerName, Program, Training, train, train_pack
from ridgeline.models import build_named
from ridgeline.noise import Clock
from ridgeline.penalties import L2
from ridgeline.select import Rule, default_selection

CPU = torch.device("cpu")
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
LEAST_STEPS = 60


@dataclass(frozen=True)
class Work:
    """One row of the table: shapes, how it is trained, and how many lanes."""

    inputs: tuple[int, ...]
    hidden: tuple[int, ...]
    outputs: int
    batch: int
    optimizer: OptimizerName
    lr: float
    steps: int
    lanes: int
    dropout: float = 0.0


WORKS = {
    "linear-200": Work((200,), (), 1, 1, "sgd", 1e-3, 2_000, 512),
    "mlp-64": Work((64,), (64,), 10, 32, "adam", 1e-3, 2_000, 64),
    "mlp-784": Work((784,), (128,), 10, 64, "adam", 1e-3, 2_000, 64),
    "mlp-dropout": Work((784,), (256, 256), 10, 256, "sgd", 1e-2, 1_000, 16, 0.5),
    "mlp-wide": Work((784,), (1500, 1000, 500), 10, 64, "adam", 1e-3, 300, 8),
    "conv": Work((1, 28, 28), (), 10, 100, "adam", 1e-3, 100, 8),
}


def data_of(work: Work) -> Data:
    """Made data: 2,000 examples to train on, 500 to evaluate."""
    generator = torch.Generator().manual_seed(0)

    def part(n: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(n, *work.inputs, generator=generator)
        first = x.flatten(1)[:, :1]
        return x, first * 2 if work.outputs == 1 else (first.abs() * 3).long().clamp(max=9).flatten()

    splits = Splits(
        train=part(2_000), val=part(500), task="regression" if work.outputs == 1 else "classification"
    )
    return draw(lambda seed: splits, 0)


def model_of(work: Work, clock: Clock, data: Data) -> nn.Module:
    """The row's model."""
    if len(work.inputs) == 3:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(clock.seed)
            head = [nn.Flatten(), nn.Linear(6272, 1024), nn.ReLU(), nn.Linear(1024, 10)]
            return nn.Sequential(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), *head)
    options: dict[str, Any] = {"hidden": list(work.hidden), "dropout": work.dropout} if work.hidden else {}
    return build_named("mlp" if work.hidden else "linear", options, data.input_shape, data.n_outputs, clock)


def programs_of(work: Work, data: Data, steps: int, lanes: int) -> list[Program]:
    """Lanes that differ in strength and seed, eight strengths a seed."""
    loss: LossName = "mse" if work.outputs == 1 else "cross_entropy"
    training = Training(work.optimizer, work.lr, work.batch, steps, loss, evaluate_every=100)
    rules = [[Rule(default_selection, L2(1e-4 * (k + 1)))] for k in range(8)]

    def build(clock: Clock, made: Data) -> nn.Module:
        return model_of(work, clock, made)

    return [Program(build, data, training, rules[k % 8], seed=k // 8) for k in range(lanes)]


def tutorial(work: Work, data: Data, steps: int) -> float:
    """One trial of the published loop; seconds."""
    began = time.perf_counter()
    model = model_of(work, Clock(0), data).train()
    kind = torch.optim.SGD if work.optimizer == "sgd" else torch.optim.Adam
    optimizer = kind(model.parameters(), lr=work.lr)
    sets = [TensorDataset(*part.batch(torch.arange(len(part)))) for part in (data.train, data.val)]
    loaders = [
        DataLoader(sets[0], work.batch, shuffle=True),
        DataLoader(sets[1], 1_000),
        DataLoader(sets[0], 1_000),
    ]
    loss_of: Callable[..., Tensor] = F.mse_loss if work.outputs == 1 else F.cross_entropy
    weights = [p for p in model.parameters() if p.ndim > 1]
    done = 0
    while done < steps:
        for x, y in loaders[0]:
            loss = loss_of(model(x), y) + 0.5e-4 * sum((w.square().sum() for w in weights), torch.zeros(()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
            if done % 100 == 0 or done == steps:
                with torch.no_grad():
                    model.eval()
                    for loader in loaders[1:]:
                        sum(float(loss_of(model(x), y)) for x, y in loader)
                    model.train()
            if done == steps:
                break
    return time.perf_counter() - began


def ready(threads: int) -> None:
    """The numeric settings of every arm."""
    torch.set_flush_denormal(True)
    torch.set_num_threads(threads)


def alone(name: str, steps: int) -> None:
    """One tuned trial, in whatever process this is."""
    (program,) = programs_of(WORKS[name], data_of(WORKS[name]), steps, 1)
    train(program, CPU)


def packed(name: str, steps: int, lanes: int) -> None:
    """One pack, in whatever process this is."""
    train_pack(programs_of(WORKS[name], data_of(WORKS[name]), steps, lanes), CPU)


def seconds_a_trial(name: str, steps: int, pool: Any) -> dict[str, float]:
    """One round: each arm once."""
    work = WORKS[name]
    data = data_of(work)
    (program,) = programs_of(work, data, steps, 1)

    def timed(run: Callable[[], object], trials: int) -> float:
        began = time.perf_counter()
        run()
        return (time.perf_counter() - began) / trials

    share = work.lanes // CORES
    return {
        "tutorial": tutorial(work, data, steps),
        "tuned": timed(lambda: train(replace(program, seed=1), CPU), 1),
        "processes": timed(lambda: pool.starmap(alone, [(name, steps)] * CORES), CORES),
        "lanes": timed(lambda: packed(name, steps, work.lanes), work.lanes),
        f"lanes×{CORES}": timed(lambda: pool.starmap(packed, [(name, steps, share)] * CORES), share * CORES),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="*", default=list(WORKS), help=f"rows: {', '.join(WORKS)}")
    parser.add_argument("--share", type=float, default=0.1, help="of the steps")
    parser.add_argument("--threads", type=int, default=CORES, help="of the arms in this process")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    ready(asked.threads)
    print(f"torch {torch.__version__}, {CORES} cores, {asked.threads} thread(s) in this process,", end=" ")
    print(f"{asked.share} of the steps, medians of {asked.rounds} rounds")
    with multiprocessing.get_context("spawn").Pool(CORES, initializer=ready, initargs=(1,)) as pool:
        for name in asked.works:
            work = WORKS[name]
            steps = min(work.steps, max(LEAST_STEPS, round(work.steps * asked.share)))
            rounds = [seconds_a_trial(name, steps, pool) for _ in range(asked.rounds + 1)][1:]
            found = {arm: statistics.median(each[arm] for each in rounds) for arm in rounds[0]}
            best = min(value for arm, value in found.items() if arm.startswith("lanes"))
            shown = ", ".join(f"{arm} {1e3 * value / steps:.4g}" for arm, value in found.items())
            ratios = ", ".join(
                f"{found[arm] / best:.1f} over {arm}" for arm in ("tutorial", "tuned", "processes")
            )
            print(
                f"{name} ({steps} steps, {work.lanes} lanes), ms a step of a trial: {shown}; lanes: {ratios}"
            )


if __name__ == "__main__":
    main()
