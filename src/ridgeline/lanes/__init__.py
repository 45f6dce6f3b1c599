"""How trials are trained. Here is the solo engine; every engine must give its trials."""

from ridgeline.lanes._outcome import Outcome as Outcome
from ridgeline.lanes._own_term import OwnTerm as OwnTerm
from ridgeline.lanes._pace import seconds_of as seconds_of
from ridgeline.lanes._settings import EarlyStopping as EarlyStopping
from ridgeline.lanes._settings import LossName as LossName
from ridgeline.lanes._settings import OptimizerName as OptimizerName
from ridgeline.lanes._settings import Schedule as Schedule
from ridgeline.lanes._settings import ScheduleName as ScheduleName
from ridgeline.lanes._settings import Training as Training
from ridgeline.lanes._solo import Program as Program
from ridgeline.lanes._solo import probe as probe
from ridgeline.lanes._solo import train as train
