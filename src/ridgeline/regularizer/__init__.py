"""A penalty attached to a person's own model and optimizer."""

from ridgeline.regularizer._audit import Audit as Audit
from ridgeline.regularizer._regularizer import Regularizer as Regularizer
from ridgeline.regularizer._regularizer import regularize as regularize
