"""Penalties: immutable objects with a value, a gradient and, where one is known, a proximal operator."""

from ridgeline.penalties._constraint import MaxNorm as MaxNorm
from ridgeline.penalties._conventions import CONVENTIONS as CONVENTIONS
from ridgeline.penalties._convert import convert as convert
from ridgeline.penalties._group import GroupLasso as GroupLasso
from ridgeline.penalties._group import Norm as Norm
from ridgeline.penalties._group import group_dims as group_dims
from ridgeline.penalties._protocol import Penalty as Penalty
from ridgeline.penalties._reference import L2SP as L2SP
from ridgeline.penalties._schedule import Schedule as Schedule
from ridgeline.penalties._separable import L1 as L1
from ridgeline.penalties._separable import L2 as L2
from ridgeline.penalties._separable import ElasticNet as ElasticNet
from ridgeline.penalties._spectral import Nuclear as Nuclear
from ridgeline.penalties._spectral import Orthogonal as Orthogonal
from ridgeline.penalties._strength import Strength as Strength
from ridgeline.penalties._strength import lanes_of as lanes_of
from ridgeline.penalties._sum import Sum as Sum
from ridgeline.penalties._sum import parts_of as parts_of
from ridgeline.penalties._sum import sum_of as sum_of
