"""The optimizer step alone, and peak memory, on the tensors of a ResNet-18 and of a 100 M transformer.

    python -m benchmarks.optimizer_step --steps 30
    python -m benchmarks.optimizer_step --memory

No forward or backward pass: gradients are fixed, so nothing hides what the penalty costs. With --memory
each arm runs in a process of its own, and its peak resident size is compared with the base's.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

import ridgeline as rl
from ridgeline.penalties import Penalty
from ridgeline.select import Mode


def resnet18() -> nn.Module:
    """The layers of a ResNet-18 for 1,000 classes, 11.7 M parameters."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, bias=False), nn.BatchNorm2d(64)]
    depth = 64
    for width in (64, 128, 256, 512):
        for number in range(4):
            layers += [
                nn.Conv2d(depth if number == 0 else width, width, 3, bias=False),
                nn.BatchNorm2d(width),
            ]
        if width > 64:
            layers += [nn.Conv2d(depth, width, 1, bias=False), nn.BatchNorm2d(width)]
        depth = width
    return nn.Sequential(*layers, nn.Linear(512, 1000))


def transformer() -> nn.Module:
    """An encoder of 10 layers, width 768, with a vocabulary of 38,000: about 100 M parameters."""
    layer = nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 10, enable_nested_tensor=False)
    return nn.Sequential(nn.Embedding(38_000, 768), encoder)


MODELS = {"resnet-18": resnet18, "transformer-100M": transformer}
ARMS: dict[str, tuple[Penalty, Mode] | None] = {
    "base": None,
    "L2 coupled": (rl.L2(1e-5), "coupled"),
    "L2 decoupled": (rl.L2(1e-5), "decoupled"),
    "L1 coupled": (rl.L1(1e-5), "coupled"),
    "proximal L1": (rl.L1(1e-5), "proximal"),
    "GroupLasso coupled": (rl.GroupLasso(1e-5), "coupled"),
}


def stepper(name: str, arm: str) -> Callable[[], None]:
    """One optimizer step of an arm on a model with fixed gradients."""
    torch.manual_seed(0)
    model = MODELS[name]()
    for p in model.parameters():
        p.grad = torch.randn_like(p).mul_(1e-3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    chosen = ARMS[arm]
    if chosen is not None:
        rl.regularize(model, chosen[0], optimizer=optimizer, mode=chosen[1])  # the hooks keep it alive
    return lambda: optimizer.step()


def timing(name: str, steps: int) -> None:
    made = {arm: stepper(name, arm) for arm in ARMS}
    ratios: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for step in made.values():
        step()

    def seconds(arm: str) -> float:
        began = time.perf_counter()
        made[arm]()
        return time.perf_counter() - began

    before, base = seconds("base"), []
    for _ in range(steps):
        for arm in ARMS:
            own, after = seconds(arm), seconds("base")
            ratios[arm].append(own / (0.5 * (before + after)))
            base.append(after)
            before = after
    print(f"{name}: base step {1e3 * statistics.median(base):.2f} ms")
    for arm, found in ratios.items():
        print(f"  {arm:22} {statistics.median(found):6.2f}")


def memory(name: str) -> None:
    peaks = {}
    for arm in ARMS:
        code = (
            "import sys; from benchmarks import optimizer_step as b; "
            "step = b.stepper(*sys.argv[1:]); step(); step(); print(b.peak_mib())"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, name, arm], capture_output=True, text=True, check=True
        )
        peaks[arm] = float(done.stdout)
    print(f"{name}: base peak {peaks['base']:.0f} MiB")
    for arm, peak in peaks.items():
        print(f"  {arm:22} {peak - peaks['base']:+7.1f} MiB")


def peak_mib() -> float:
    """The process' peak resident size."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_flush_denormal(True)
    for name in MODELS:
        memory(name) if options.memory else timing(name, options.steps)


if __name__ == "__main__":
    main()
