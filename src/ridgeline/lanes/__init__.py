"""How trials are trained: solo, the oracle, and in packs of lanes, which give its trials."""

from ridgeline.lanes._outcome import Outcome as Outcome
from ridgeline.lanes._own_term import OwnTerm as OwnTerm
from ridgeline.lanes._pace import seconds_of as seconds_of
from ridgeline.lanes._pace import seconds_of_pack as seconds_of_pack
from ridgeline.lanes._pack import train_pack as train_pack
from ridgeline.lanes._products import Products as Products
from ridgeline.lanes._products import faster_products as faster_products
from ridgeline.lanes._products import largest_product as largest_product
from ridgeline.lanes._products import products as products
from ridgeline.lanes._settings import EarlyStopping as EarlyStopping
from ridgeline.lanes._settings import LossName as LossName
from ridgeline.lanes._settings import OptimizerName as OptimizerName
from ridgeline.lanes._settings import Schedule as Schedule
from ridgeline.lanes._settings import ScheduleName as ScheduleName
from ridgeline.lanes._settings import Training as Training
from ridgeline.lanes._shared import NotStackableError as NotStackableError
from ridgeline.lanes._shared import Path as Path
from ridgeline.lanes._shared import obstacle_to as obstacle_to
from ridgeline.lanes._shared import path_of as path_of
from ridgeline.lanes._shared import shared as shared
from ridgeline.lanes._solo import Program as Program
from ridgeline.lanes._solo import probe as probe
from ridgeline.lanes._solo import train as train
from ridgeline.lanes._updates import Rule as Rule
from ridgeline.lanes._updates import rule_for as rule_for
