"""Every threshold of the verdicts, each with its reason; docs/verdicts.md shows them."""

from dataclasses import dataclass
from functools import lru_cache

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
    "of (null − best loss), where training is also below half of the held-out loss: more regularization helps mostly",
)
HALF = Threshold(
    "training below", 0.5, "of the held-out loss; above it a regularized model may well have settled"
)
MEMORISED = Threshold(
    "memorised", 0.05, "of the held-out loss: nothing is left to be learned from the training data"
)
ABOVE_MEMORISED = Threshold("above memorised", 0.08, "of (null − best loss) is then far enough: four times δ")
PARTED = Threshold(
    "parted",
    0.3,
    "of the training loss fell over the second half, and the held-out loss gained less than half of δ",
)
TRAINS_ON = Threshold(
    "trains on", 0.25, "of what the held-out loss gains is what training must gain to be unfinished"
)
STILL_FALLING = Threshold(
    "the last part", 0.2, "of the steps: what the loss gained there it will gain about once more"
)
SHORTEST = Threshold("fewest points", 8, "fewer points have no noise that could be told from a trend")
LATE_FALL = Threshold(
    "collapse", 0.02, "of accuracy, the rule of a late collapse: held for 20 checks, then lost"
)
CHANCE = Threshold("at chance", 0.02, "of skill, 1 − loss / null loss: less than δ was learned")
PENALTY_INSIDE = Threshold(
    "penalty inside",
    0.05,
    "of the loss: a training loss this far above the held-out loss, by a falling amount, contains something else",
)
MOVES_WITH = Threshold(
    "moves with the penalty",
    0.5,
    "change of a held-out loss per change of the penalty, at the least: less may be chance, 1 is the penalty inside",
)
WEIGHTY_PENALTY = Threshold(
    "penalty's share", 1.0, "a penalty that outweighs the data loss decides the solution"
)
ONE_SIDED = Threshold("z", 1.645, "95 % one-sided: an effect is there, or is excluded")

THRESHOLDS = (
    DELTA_SHARE,
    SMALLEST_DELTA,
    FAR_ABOVE,
    HALF,
    MEMORISED,
    ABOVE_MEMORISED,
    PARTED,
    TRAINS_ON,
    STILL_FALLING,
    SHORTEST,
    LATE_FALL,
    CHANCE,
    PENALTY_INSIDE,
    MOVES_WITH,
    WEIGHTY_PENALTY,
    ONE_SIDED,
)

# The lowest window of a flat curve is selected, so its end seems to stand above it. 95 % of flat curves of so
# many points end less than this many standard deviations of a window's mean above it, in neither narrow nor wide
# windows, for AR(1) noise of every correlation up to .9: `python -m benchmarks.critical_rise` simulates them.
CRITICAL_RISE = {
    "narrow": {8: 12.5, 10: 10.8, 20: 12.8, 30: 11.2, 50: 9.8, 100: 8.2, 200: 5.4, 1_000: 5.3, 3_000: 5.6},
    "wide": {8: 12.5, 10: 10.8, 20: 12.8, 30: 11.4, 50: 10.0, 100: 7.8, 200: 4.8, 1_000: 4.5, 3_000: 4.7},
}


@lru_cache(maxsize=64)
def critical_rise(points: int, windows: str) -> float:
    """By how many standard deviations a curve of so many points must rise to be no chance.

    Args:
        windows: "narrow" or "wide".
    """
    table = CRITICAL_RISE[windows]
    return float(np.interp(np.log(points), np.log(list(table)), list(table.values())))
