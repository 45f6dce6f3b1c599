"""How sure a kind is: the share of resampled curves that give it again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._kinds import Kind
from ridgeline.diagnosis._windows import windows


def confidence(
    runs: Sequence[Aligned], judge: Callable[[Sequence[Aligned]], Kind], kind: Kind, resamples: int, seed: int
) -> float:
    """The share of resamples of the same kind.

    From three runs, runs are drawn with replacement. Of fewer, each curve is its trend through the levels of
    its windows plus its residuals, whose sign is drawn anew for each block of a window's length, the same for
    training and validation: noise that differs along the curve stays where it is (wild block bootstrap).
    """
    random = np.random.default_rng(seed)
    counts: Counter[Kind] = Counter()
    for _ in range(resamples):
        if len(runs) >= 3:
            drawn = [runs[i] for i in random.integers(0, len(runs), len(runs))]
        else:
            drawn = [_redrawn(run, random) for run in runs]
        counts[judge(drawn)] += 1
    return counts[kind] / resamples


def _redrawn(run: Aligned, random: np.random.Generator) -> Aligned:
    n = len(run.val)
    k = windows(run.val).k
    place = np.arange(n) + int(random.integers(0, k))
    signs = random.choice([-1.0, 1.0], int(place[-1]) // k + 1)[place // k]
    train = None if run.train is None else _with_noise(run.train, signs)
    return replace(run, val=_with_noise(run.val, signs), train=train)


def _with_noise(values: Floats, signs: Floats) -> Floats:
    seen = windows(values)
    trend = np.interp(np.arange(len(values)), seen.middle, seen.level)
    found: Floats = trend + (values - trend) * signs
    return found
