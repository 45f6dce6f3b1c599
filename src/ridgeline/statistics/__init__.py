"""Statistics of runs: intervals over seeds and examples, paired comparison, corrections for many."""

from ridgeline.statistics._interval import MIN_SEEDS as MIN_SEEDS
from ridgeline.statistics._interval import Interval as Interval
from ridgeline.statistics._interval import holm as holm
from ridgeline.statistics._interval import interval as interval
from ridgeline.statistics._rise import Rise as Rise
from ridgeline.statistics._rise import rise as rise
