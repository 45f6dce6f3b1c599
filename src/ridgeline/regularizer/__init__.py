"""A penalty attached to a person's own model and optimizer."""

from ridgeline.regularizer._acting import assert_acting as assert_acting
from ridgeline.regularizer._attachment import Metric as Metric
from ridgeline.regularizer._audit import Audit as Audit
from ridgeline.regularizer._effect import Effect as Effect
from ridgeline.regularizer._groups import param_groups as param_groups
from ridgeline.regularizer._regularize import regularize as regularize
from ridgeline.regularizer._regularizer import Regularizer as Regularizer
from ridgeline.regularizer._response import Response as Response
