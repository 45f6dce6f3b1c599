"""Diagnosis: is it overfitting, underfitting, over-regularized? From our runs or anyone's log, with evidence."""

from ridgeline.diagnosis._diagnose import diagnose as diagnose
from ridgeline.diagnosis._history import Curve as Curve
from ridgeline.diagnosis._history import History as History
from ridgeline.diagnosis._history import Role as Role
from ridgeline.diagnosis._kinds import KINDS as KINDS
from ridgeline.diagnosis._kinds import Kind as Kind
from ridgeline.diagnosis._kinds import Verdict as Verdict
from ridgeline.diagnosis._kinds import finite as finite
from ridgeline.diagnosis._suspicion import contradictions as contradictions
from ridgeline.diagnosis._suspicion import penalty_inside as penalty_inside
from ridgeline.diagnosis._thresholds import CRITICAL_RISE as CRITICAL_RISE
from ridgeline.diagnosis._thresholds import THRESHOLDS as THRESHOLDS
from ridgeline.diagnosis._thresholds import Threshold as Threshold
from ridgeline.diagnosis.readers import read as read
