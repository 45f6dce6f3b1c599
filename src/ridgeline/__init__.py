"""Ridgeline regularizes PyTorch models, proves whether it worked, and finds the strength that fits."""

import importlib
from typing import TYPE_CHECKING, Any

from ridgeline import schedules as schedules
from ridgeline.errors import RidgelineError as RidgelineError
from ridgeline.penalties import L1 as L1
from ridgeline.penalties import L2 as L2
from ridgeline.penalties import L2SP as L2SP
from ridgeline.penalties import ElasticNet as ElasticNet
from ridgeline.penalties import GroupLasso as GroupLasso
from ridgeline.penalties import MaxNorm as MaxNorm
from ridgeline.penalties import Norm as Norm
from ridgeline.penalties import Nuclear as Nuclear
from ridgeline.penalties import Orthogonal as Orthogonal
from ridgeline.penalties import convert as convert
from ridgeline.regularizer import Audit as Audit
from ridgeline.regularizer import Effect as Effect
from ridgeline.regularizer import Regularizer as Regularizer
from ridgeline.regularizer import Response as Response
from ridgeline.regularizer import assert_acting as assert_acting
from ridgeline.regularizer import param_groups as param_groups
from ridgeline.regularizer import regularize as regularize
from ridgeline.select import Rule as Rule

if TYPE_CHECKING:
    from ridgeline.data import Splits as Splits
    from ridgeline.diagnosis import Verdict as Verdict
    from ridgeline.diagnosis import diagnose as diagnose
    from ridgeline.report import Results as Results
    from ridgeline.study import Study as Study
    from ridgeline.study import load_study as load_study

__version__ = "0.1.0"

# What needs more than torch is loaded when it is first asked for.
_LAZY = {
    "Splits": "ridgeline.data",
    "Verdict": "ridgeline.diagnosis",
    "diagnose": "ridgeline.diagnosis",
    "Results": "ridgeline.report",
    "Study": "ridgeline.study",
    "load_study": "ridgeline.study",
}

__all__ = [
    "L1",
    "L2",
    "L2SP",
    "Audit",
    "Effect",
    "ElasticNet",
    "GroupLasso",
    "MaxNorm",
    "Norm",
    "Nuclear",
    "Orthogonal",
    "Regularizer",
    "Response",
    "Results",
    "RidgelineError",
    "Rule",
    "Splits",
    "Study",
    "Verdict",
    "assert_acting",
    "convert",
    "diagnose",
    "load_study",
    "param_groups",
    "regularize",
    "schedules",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ridgeline' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(_LAZY[name]), name)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("ridgeline"):
            raise
        raise ModuleNotFoundError(
            f"ridgeline.{name} needs {error.name}, which the base install leaves out: "
            f"pip install 'ridgeline[study]'.",
            name=error.name,
        ) from None
