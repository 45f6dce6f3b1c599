"""Penalties: immutable objects with a value, a gradient and, where one is known, a proximal operator."""

from ridgeline.penalties._protocol import Penalty as Penalty
from ridgeline.penalties._separable import L1 as L1
from ridgeline.penalties._separable import L2 as L2
from ridgeline.penalties._strength import Strength as Strength
