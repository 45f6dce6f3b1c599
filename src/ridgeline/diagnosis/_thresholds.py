"""Every threshold of the verdicts, each with its reason; docs/verdicts.md shows them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Threshold:
    """A number that a verdict turns on."""

    name: str
    value: float
    reason: str


DELTA_SHARE = Threshold(
    "δ", 0.02, "a difference of 2 % of what there was to learn, (null − best loss), is worth a word"
)
SMALLEST_DELTA = Threshold(
    "δ at least",
    0.005,
    "of the best loss: where the log begins late, the start says little of what there was to learn",
)
FAR_ABOVE = Threshold(
    "far above training",
    0.25,
    "of (null − best loss): a held-out loss so far above the training loss falls with more regularization mostly",
)
STILL_FALLING = Threshold(
    "the last part", 0.2, "of the steps: what the loss gained there it will gain about once more"
)
SHORTEST = Threshold("fewest points", 6, "fewer points have no noise that could be told from a trend")
LATE_FALL = Threshold(
    "collapse", 0.02, "of accuracy, the rule of a late collapse: held for 20 checks, then lost"
)
CHANCE = Threshold("at chance", 0.02, "of skill, 1 − loss / null loss: less than δ was learned")
PENALTY_INSIDE = Threshold(
    "penalty inside",
    0.05,
    "of the loss: a training loss this far above the held-out loss, by a falling amount, contains something else",
)
WEIGHTY_PENALTY = Threshold(
    "penalty's share", 1.0, "a penalty that outweighs the data loss decides the solution"
)
ONE_SIDED = Threshold("z", 1.645, "95 % one-sided: an effect is there, or is excluded")

THRESHOLDS = (
    DELTA_SHARE,
    SMALLEST_DELTA,
    FAR_ABOVE,
    STILL_FALLING,
    SHORTEST,
    LATE_FALL,
    CHANCE,
    PENALTY_INSIDE,
    WEIGHTY_PENALTY,
    ONE_SIDED,
)

# The lowest window of a flat curve is selected, so its end seems to stand above it. 95 % of flat curves of so
# many points end less than nine tenths of this many standard deviations of a window's level above it, for AR(1)
# noise of every correlation up to .9: `python -m benchmarks.critical_rise` simulates them.
CRITICAL_RISE = {8: 2.8, 10: 4.0, 15: 4.6, 20: 4.9, 50: 5.2, 100: 5.0, 200: 4.6, 1_000: 4.4}


def critical_rise(points: int) -> float:
    """By how many standard deviations a curve of so many points must rise to be no chance."""
    return float(np.interp(np.log(points), np.log(list(CRITICAL_RISE)), list(CRITICAL_RISE.values())))
