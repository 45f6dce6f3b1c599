"""How sure a kind is: the share of resampled curves that give it again."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._kinds import Kind
from ridgeline.diagnosis._windows import windows


def confidence(
    runs: Sequence[Aligned], judge: Callable[[Sequence[Aligned]], Kind], kind: Kind, resamples: int, seed: int
) -> float:
    """The share of resamples of the same kind.

    From three runs, runs are drawn with replacement. Of fewer, each curve is its trend through the levels of
    its windows plus its residuals in blocks of a window's length, drawn anew, the same blocks for training and
    validation.
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
    starts = random.integers(0, max(n - k + 1, 1), -(-n // k))
    index = ((starts[:, None] + np.arange(k)).ravel()[:n] % n).astype(np.int64)
    train = None if run.train is None else _with_noise(run.train, index)
    return replace(run, val=_with_noise(run.val, index), train=train)


def _with_noise(values: Floats, index: npt.NDArray[np.int64]) -> Floats:
    seen = windows(values)
    trend = np.interp(np.arange(len(values)), seen.middle, seen.level)
    found: Floats = trend + (values - trend)[index]
    return found
