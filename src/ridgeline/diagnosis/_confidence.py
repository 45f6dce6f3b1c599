"""How sure a kind is: the share of resampled curves that give it again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._kinds import Kind
from ridgeline.diagnosis._windows import width, windows


def confidence(
    runs: Sequence[Aligned], judge: Callable[[Sequence[Aligned]], Kind], kind: Kind, resamples: int, seed: int
) -> float:
    """The share of resamples of the same kind.

    From three runs, runs are drawn with replacement. Of fewer, each curve is its trend through the levels of
    its windows plus its residuals, whose sign is drawn anew for each block of a window's length, the same for
    training and validation: noise that differs along the curve stays where it is (wild block bootstrap).
    """
    random = np.random.default_rng(seed)
    if len(runs) >= 3:  # few runs are often drawn the same: four in 35 ways only
        draws = [tuple(sorted(random.integers(0, len(runs), len(runs)).tolist())) for _ in range(resamples)]
        again = sum(count for draw, count in Counter(draws).items() if judge([runs[i] for i in draw]) == kind)
        return again / resamples
    split = [(_parted(run.val), None if run.train is None else _parted(run.train)) for run in runs]
    again = 0
    for _ in range(resamples):
        drawn = [_redrawn(run, *curves, random) for run, curves in zip(runs, split, strict=True)]
        again += judge(drawn) == kind
    return again / resamples


def _parted(values: Floats) -> tuple[Floats, Floats]:
    """A curve's trend and residuals."""
    seen = windows(values)
    trend = np.interp(np.arange(len(values)), seen.middle, seen.level)
    return trend, values - trend


def _redrawn(
    run: Aligned,
    val: tuple[Floats, Floats],
    train: tuple[Floats, Floats] | None,
    random: np.random.Generator,
) -> Aligned:
    k = width(len(run.val))
    place = np.arange(len(run.val)) + int(random.integers(0, k))
    signs = random.choice([-1.0, 1.0], int(place[-1]) // k + 1)[place // k]
    again = None if train is None else train[0] + train[1] * signs
    return replace(run, val=val[0] + val[1] * signs, train=again)
