"""Judgement between the arms of a study, on plain numbers."""

from ridgeline.diagnosis._arms import ArmEnd as ArmEnd
from ridgeline.diagnosis._arms import Difference as Difference
from ridgeline.diagnosis._arms import PerExample as PerExample
from ridgeline.diagnosis._arms import stronger as stronger
from ridgeline.diagnosis._between import RELATIONS as RELATIONS
from ridgeline.diagnosis._between import Relation as Relation
from ridgeline.diagnosis._between import RelationKind as RelationKind
from ridgeline.diagnosis._regularizers import EFFECTS as EFFECTS
from ridgeline.diagnosis._regularizers import EffectKind as EffectKind
from ridgeline.diagnosis._regularizers import RegularizerEffect as RegularizerEffect
from ridgeline.diagnosis._stopping import Stopping as Stopping
from ridgeline.diagnosis._stopping import stopping as stopping
from ridgeline.diagnosis._study import StudyJudgement as StudyJudgement
from ridgeline.diagnosis._study import judge_study as judge_study
from ridgeline.diagnosis._study import resamples_for as resamples_for
from ridgeline.diagnosis._study import what_counts as what_counts
