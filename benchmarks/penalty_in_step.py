"""What a penalty costs in a training step: each arm against the runs without a penalty around it.

    python -m benchmarks.penalty_in_step --steps 3000

Blocks of steps alternate in one process, base, arm, base, arm …; a ratio is an arm's block over the mean
of the two base blocks that bracket it, and the table shows medians. Everything trains on the same
batches, denormals are flushed, and the value of the penalty is read every step.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn

from benchmarks.penalty_arms import ARMS, Step, plain, wide_mlp


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000, help="steps of each arm")
    parser.add_argument("--only", default="", help="arms whose name contains this")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    flushes = torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)
    data = batches()
    arms = [arm for arm in ARMS if options.only in arm.name]
    base = plain(model())
    made = [(arm, arm.make(model())) for arm in arms]
    for _, step in [(None, base), *made]:
        block(step, data)
    ratios: dict[str, list[float]] = {arm.name: [] for arm in arms}
    base_times = []
    before = block(base, data)
    for _ in range(max(options.steps // len(data), 2)):
        for arm, step in made:
            own = block(step, data)
            after = block(base, data)
            ratios[arm.name].append(own / (0.5 * (before + after)))
            base_times.append(after)
            before = after
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, flush_denormal {flushes}, "
        f"{options.steps} steps an arm, base {1e3 * statistics.median(base_times) / len(data):.2f} ms a step"
    )
    print(f"{'arm':28} {'ratio':>7} {'quartiles':>14} {'must':>6} {'aim':>6}")
    for arm in arms:
        low, middle, high = statistics.quantiles(ratios[arm.name], n=4)
        goals = " ".join(f"{goal:6.2f}" if goal else "     –" for goal in (arm.must, arm.aim))
        print(f"{arm.name:28} {middle:7.3f} {low:6.3f}–{high:.3f} {goals}")


if __name__ == "__main__":
    main()
