"""Lanes beside what people run today: seconds a trial, all in, on the same work, side by side.

    python -m benchmarks.engines
    python -m benchmarks.engines mlp-64 mlp-784 --share 0.1 --rounds 5 --arms tutorial ridgeline
    python -m benchmarks.engines --growth
    python -m benchmarks.engines --whole
    python -m benchmarks.engines --plan
    python -m benchmarks.engines --compiled

Arms, one after another in every round, each in processes that are up before the clock starts:

- tutorial: the loop as it is published: default optimizer, penalty by autograd, DataLoader.
- tuned: fused optimizer with native decay, tensors in memory, as fast as plain torch goes.
- processes: tuned, one process a core, one thread in each.
- ridgeline auto: what a user gets: planned (and measured) as `ridgeline run` does, then trained so.
- ridgeline lanes, ridgeline solo: the engines by name.
- jax: vmap over lanes and scan over steps, jitted; compiled in the time, and compiled before.
- modelbatch, optuna, ray tune: the packages, the tuners running tuned on one core a trial.

Every arm builds its models, trains, evaluates both sets every 100 steps and at the end. jax, modelbatch,
optuna and ray[tune] are no dependencies: install those that you want to see. Denormals are flushed
everywhere. Beside other jobs two threads of one product wait for each other; `--threads 1` then measures
what the arms cost, not what the machine is busy with.

`--share` trains that share of the steps: what is paid once (planning, compiling) then counts for more than in
a whole run. `--growth`: time and memory a lane. `--whole`: the command from start to end. `--plan`: what
auto chose beside every candidate, each measured in full. `--compiled`: forward and backward pass of a pack as it
runs, and under torch.compile.
"""

import argparse
import os

import torch

from benchmarks.engines import candidates, compiled, growth, table, whole
from benchmarks.engines.seats import CORES
from benchmarks.engines.workloads import WORKS


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="*", help=f"rows: {', '.join(WORKS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=CORES, help="of the arms in one process")
    parser.add_argument("--arms", nargs="*", default=[], help="their names, or parts of them")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--growth", action="store_true")
    kind.add_argument("--whole", action="store_true")
    kind.add_argument("--plan", action="store_true")
    kind.add_argument("--compiled", action="store_true")
    asked = parser.parse_args()
    unknown = [name for name in asked.works if name not in WORKS]
    if unknown:
        parser.error(f"no row is called {unknown[0]!r}; there are {', '.join(WORKS)}")
    works = [WORKS[name] for name in asked.works or WORKS]
    load = f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
    print(
        f"torch {torch.__version__}, {CORES} cores, {asked.threads} thread(s) an arm in one process", end=", "
    )
    print(f"{asked.share:g} of the steps, medians of {asked.rounds} rounds")
    print(f"load average before: {load} (above 0.3 the machine is not quiet and ratios are not to be quoted)")
    if asked.growth:
        growth.show(asked.works, asked.share)
    elif asked.whole:
        whole.show(asked.rounds)
    elif asked.plan:
        candidates.show(works, asked.share, asked.rounds, asked.threads)
    elif asked.compiled:
        compiled.show(asked.rounds, asked.threads)
    else:
        table.all_rows(works, asked.arms, asked.share, asked.rounds, asked.threads)


if __name__ == "__main__":
    main()
