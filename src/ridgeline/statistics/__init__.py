"""Statistics of runs: intervals over seeds and examples, paired comparison, corrections for many."""

from ridgeline.statistics._decide import Outcome as Outcome
from ridgeline.statistics._decide import decide as decide
from ridgeline.statistics._decide import holm_intervals as holm_intervals
from ridgeline.statistics._decide import prediction_interval as prediction_interval
from ridgeline.statistics._decide import von_neumann as von_neumann
from ridgeline.statistics._interval import MIN_SEEDS as MIN_SEEDS
from ridgeline.statistics._interval import Interval as Interval
from ridgeline.statistics._interval import holm as holm
from ridgeline.statistics._interval import interval as interval
from ridgeline.statistics._rise import Rise as Rise
from ridgeline.statistics._rise import rise as rise
