"""The runs of one arm at the same steps, and what had to be left out for that."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._evidence import Words


def together(runs: Sequence[Aligned], words: Words) -> tuple[list[Aligned], list[str]]:
    """The runs that can be judged together, at the steps that they share, and sentences on the others.

    Runs without a training curve beside others that have one, and runs of less than half the median span, are left
    out. Of the others the common steps are taken, else those of the first run within the common span.
    """
    kept, said = _with_training(runs)
    kept, more = _of_a_length(kept)
    said += more
    if all(np.array_equal(run.steps, kept[0].steps) for run in kept[1:]):
        return kept, said
    steps = kept[0].steps
    for run in kept[1:]:
        steps = np.intersect1d(steps, run.steps)
    if len(steps) < 0.5 * min(len(run.steps) for run in kept):
        first, last = max(run.steps[0] for run in kept), min(run.steps[-1] for run in kept)
        steps = kept[0].steps[(kept[0].steps >= first) & (kept[0].steps <= last)]
    if not len(steps):
        return kept[:1], [*said, "the runs share no steps, so the first alone was judged"]
    ends = [float(run.steps[-1]) for run in kept]
    if min(ends) < max(ends):
        said.append(
            f"the runs end between {words.step(min(ends))} and {words.step(max(ends))}; they were judged up to "
            f"{words.step(float(steps[-1]))}, where all have numbers"
        )

    def at(run: Aligned) -> Aligned:
        train = None if run.train is None else np.interp(steps, run.steps, run.train)
        return replace(run, steps=steps, val=np.interp(steps, run.steps, run.val), train=train)

    return [at(run) for run in kept], said


def _with_training(runs: Sequence[Aligned]) -> tuple[list[Aligned], list[str]]:
    kept = [run for run in runs if run.train is not None]
    if not kept or len(kept) == len(runs):
        return list(runs), []
    return kept, [_left_out(len(runs) - len(kept), len(runs), "without a training curve")]


def _of_a_length(runs: Sequence[Aligned]) -> tuple[list[Aligned], list[str]]:
    spans = [float(run.steps[-1] - run.steps[0]) for run in runs]
    half = 0.5 * float(np.median(spans))
    kept = [run for run, span in zip(runs, spans, strict=True) if span >= half]
    short = [run for run, span in zip(runs, spans, strict=True) if span < half and run.broke is None]
    if not short:
        return kept, []
    return kept, [_left_out(len(short), len(runs), "of less than half as many steps as the others")]


def _left_out(count: int, runs: int, which: str) -> str:
    return f"{count} of {runs} runs, {which}, {'was' if count == 1 else 'were'} left out"
