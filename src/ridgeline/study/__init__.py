"""Studies: specification, grid, trial identity, plan, run."""

from ridgeline.study._executors import Progress as Progress
from ridgeline.study._plan import ENGINES as ENGINES
from ridgeline.study._plan import Plan as Plan
from ridgeline.study._plan_words import in_words as in_words
from ridgeline.study._plan_words import others as others
from ridgeline.study._spec import parse_yaml as parse_yaml
from ridgeline.study._study import Study as Study
from ridgeline.study._study import load_study as load_study
from ridgeline.study._trials import Trial as Trial
