"""Selecting: rules, the default selection, and the assignment of every parameter to at most one rule."""

from ridgeline.select._assign import Assignment as Assignment
from ridgeline.select._assign import assign as assign
from ridgeline.select._compare import Comparison as Comparison
from ridgeline.select._compare import compare as compare
from ridgeline.select._default import default_selection as default_selection
from ridgeline.select._owned import current as current
from ridgeline.select._rows import Note as Note
from ridgeline.select._rows import Row as Row
from ridgeline.select._rule import MODES as MODES
from ridgeline.select._rule import Mode as Mode
from ridgeline.select._rule import Rule as Rule
