"""The table: every arm on every row, interleaved, medians of ratios over rounds."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.engines.arms import ARMS, AUTO, Arm, Timed
from benchmarks.engines.seats import Seats
from benchmarks.engines.workloads import EVALUATE_EVERY, Work

_WARM_UP_STEPS = 3


def shortened(work: Work, share: float) -> Work:
    """The row with a share of its steps, whole evaluations apart: at least one of them."""
    steps = max(EVALUATE_EVERY, round(work.steps * share / EVALUATE_EVERY) * EVALUATE_EVERY)
    return replace(work, steps=min(work.steps, steps))


def row(seats: Seats, work: Work, arms: Sequence[Arm], rounds: int) -> None:
    """Run and print one row."""
    print(f"\n{work.name}: {work.steps} steps, {work.lanes} lanes", flush=True)
    run: list[Arm] = []
    for arm in arms:
        why = arm.missing
        if not why:
            why = _tried(seats, replace(work, steps=_WARM_UP_STEPS), arm)
        if why:
            print(f"  {arm.name}: skipped, {why}", flush=True)
        else:
            run.append(arm)
    found = [{arm.name: arm.run(seats, work) for arm in run} for _ in range(rounds)]
    first = work.asked()[0]
    print(f"  {'':22}{'ms a trial':>12}{'µs a step':>12}{f'over {AUTO}':>26}{'first loss':>12}")
    for arm in run:
        each = [timed[arm.name] for timed in found]
        seconds = statistics.median(timed.seconds for timed in each)
        loss = next(ended.train_loss for ended in each[-1].ended if ended.asked == first)
        print(
            f"  {arm.name:22}{1e3 * seconds:12.4g}{1e6 * seconds / work.steps:12.4g}"
            f"{_ratio(found, arm.name):>26}{loss:12.4g}"
        )
    for arm in run:
        if found[-1][arm.name].note:
            print(f"  {arm.name}: {found[-1][arm.name].note}")


def _tried(seats: Seats, work: Work, arm: Arm) -> str:
    """Warm an arm up on a few steps; why it fails, where it does."""
    if arm.package == "":
        arm.run(seats, work)
        return ""
    try:
        arm.run(seats, work)
    except Exception as error:  # another's package may fail in any way, and the other arms go on
        return f"it fails ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return ""


def _ratio(found: Sequence[dict[str, Timed]], name: str) -> str:
    """How many times the time of ridgeline's own choice, as the median over rounds, and its range."""
    if AUTO not in found[0]:
        return ""
    ratios = sorted(timed[name].seconds / timed[AUTO].seconds for timed in found)
    return f"{statistics.median(ratios):.3g} ({ratios[0]:.3g}–{ratios[-1]:.3g})"


def all_rows(works: Sequence[Work], names: Sequence[str], share: float, rounds: int, threads: int) -> None:
    """Print the table; arms of these names, or whose name contains one, all where none is given."""
    whole = {arm.name for arm in ARMS}
    arms = [
        arm
        for arm in ARMS
        if not names or any(name == arm.name or (name not in whole and name in arm.name) for name in names)
    ]
    with Seats(threads) as seats:
        for work in works:
            row(seats, shortened(work, share), arms, rounds)
