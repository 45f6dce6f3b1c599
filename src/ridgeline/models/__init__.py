"""Models: the small networks a study can name, and a person's own by import path."""

from ridgeline.models._build import build_factory as build_factory
from ridgeline.models._build import build_named as build_named
from ridgeline.models._build import call_factory as call_factory
from ridgeline.models._build import import_factory as import_factory
from ridgeline.models._networks import NETWORKS as NETWORKS
from ridgeline.models._residual import Residual as Residual
