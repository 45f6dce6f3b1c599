"""What a penalty costs in a training step: each arm against the runs without a penalty around it.

    python -m benchmarks.penalty_in_step --steps 3000

Each arm has a process of its own, as in training, where one model has the caches; --together puts all into
one. In it, blocks of 20 steps alternate, base, arm, base, arm …; a ratio is an arm's block over the mean of
the two base blocks that bracket it, and the table shows medians. Everything trains on the same batches,
denormals are flushed, and the value of the penalty is read every step.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch
from torch import Tensor, nn

from benchmarks.peer_arms import peers
from benchmarks.penalty_arms import ARMS, Arm, Step, wide_mlp


def batches(count: int = 20) -> list[tuple[Tensor, Tensor]]:
    """Fixed batches of 64 with learnable labels."""
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(784, 10, generator=generator)
    inputs = [torch.randn(64, 784, generator=generator) for _ in range(count)]
    return [(x, (x @ teacher).argmax(1)) for x in inputs]


def block(step: Step, data: list[tuple[Tensor, Tensor]]) -> float:
    """Seconds for one pass over the batches."""
    began = time.perf_counter()
    for x, y in data:
        step(x, y)
    return time.perf_counter() - began


def model() -> nn.Module:
    torch.manual_seed(0)
    return wide_mlp()


def measured(arms: list[Arm], steps: int) -> dict[str, tuple[list[float], float]]:
    """By arm: its ratios, and the base's milliseconds a step."""
    torch.set_flush_denormal(True)
    data = batches()
    made = [(arm, arm.make(model()), arm.base(model())) for arm in arms]
    for _, step, base in made:
        block(step, data)
        block(base, data)
    ratios: dict[str, list[float]] = {arm.name: [] for arm in arms}
    times: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for _ in range(max(steps // len(data), 2)):
        for arm, step, base in made:
            before = block(base, data)
            own = block(step, data)
            after = block(base, data)
            ratios[arm.name].append(own / (0.5 * (before + after)))
            times[arm.name].append(after)
    return {name: (ratios[name], 1e3 * statistics.median(times[name]) / len(data)) for name in ratios}


def apart(arms: list[Arm], options: argparse.Namespace) -> dict[str, tuple[list[float], float]]:
    """Each arm measured in processes of its own, the arms in turn so that a slow minute meets all."""
    found: dict[str, tuple[list[float], float]] = {}
    rounds: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for _ in range(options.processes):
        for arm in arms:
            command = [sys.executable, "-m", "benchmarks.penalty_in_step", "--one", arm.name]
            command += ["--steps", str(options.steps // options.processes), "--threads", str(options.threads)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            ratios, base = json.loads(answer.splitlines()[-1])
            rounds[arm.name] += ratios
            found[arm.name] = (rounds[arm.name], base)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="steps of each arm")
    parser.add_argument("--processes", type=int, default=3, help="over how many processes they are spread")
    parser.add_argument("--only", default="", help="arms whose name contains this")
    parser.add_argument("--together", action="store_true", help="all arms in one process")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    arms = [arm for arm in [*ARMS, *peers()] if options.only in arm.name]
    if options.one:
        answer = measured([arm for arm in arms if arm.name == options.one], options.steps)
        print(json.dumps(answer[options.one]))
        return
    found = measured(arms, options.steps) if options.together else apart(arms, options)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.steps} steps an arm")
    print(f"{'arm':32} {'ratio':>7} {'quartiles':>14} {'must':>6} {'aim':>6} {'base, ms':>9}")
    for arm in arms:
        ratios, base = found[arm.name]
        low, middle, high = statistics.quantiles(ratios, n=4)
        goals = " ".join(f"{goal:6.2f}" if goal else "     –" for goal in (arm.must, arm.aim))
        print(f"{arm.name:32} {middle:7.3f} {low:6.3f}–{high:.3f} {goals} {base:9.2f}")


if __name__ == "__main__":
    main()
