"""Which parameters would be decayed: by our default, a bare weight_decay=, timm and Hugging Face."""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError, reason
from ridgeline.penalties import L2
from ridgeline.select._choose import choices, default_of
from ridgeline.select._default import NORMS, default_selection
from ridgeline.select._owned import OwnedTensor, owned_tensors
from ridgeline.select._rule import Rule


@dataclass(frozen=True)
class Decision:
    """What a convention does with one tensor.

    Attributes:
        decays: None where the question does not arise: a weight computed from parameters, for conventions
            that know parameters only, and what such a weight is computed from, for ours.
    """

    decays: bool | None
    reason: str


Decisions: TypeAlias = dict[str, Decision]


def ridgeline(model: nn.Module) -> Decisions:
    """Our default selection; see `ridgeline.select.default_selection`.

    Unlike `assign` it takes a model of which nothing would be penalised, and lazy parameters.

    Example:
        >>> ridgeline(nn.LazyLinear(2))["weight"]
        Decision(decays=True, reason='weight of LazyLinear')
    """
    tensors = known_tensors(model)
    chosen, instead = choices([Rule(default_selection, L2(1.0))], tensors)
    found: Decisions = {}
    for place, tensor in enumerate(tensors):
        taken, why = chosen[place] is not None, instead.get(place) or default_of(tensor)[1]
        decays: bool | None = taken
        if (taken or place in instead) and not tensor.trainable:
            decays, why = False, "frozen"
        elif place in instead:
            decays = None
        elif taken and tensor.effective:
            why += "; effective weight, computed from " + ", ".join(tensor.leaf_names)
        found[tensor.names[0]] = Decision(decays, why)
    return found


def weight_decay(model: nn.Module) -> Decisions:
    """A bare `weight_decay=` of an optimizer on model.parameters(): whatever asks for a gradient.

    Example:
        >>> [decision.decays for decision in weight_decay(nn.Linear(2, 2)).values()]
        [True, True]
    """
    return _decided(model, lambda name, parameter, ndim: "")


def timm(model: nn.Module) -> Decisions:
    """timm's optimizers: all but tensors of at most 1 dimension, biases, and what the model itself names.

    The model names by its method `no_weight_decay()`: names or globs. Source: timm.optim 1.0.

    Raises:
        RidgelineError: when that method fails.

    Example:
        >>> timm(nn.Linear(2, 2))["bias"].reason
        '1-d tensor'
    """
    named = _own_list(model)

    def leave(name: str, parameter: nn.Parameter, ndim: int) -> str:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in named):
            return "listed by no_weight_decay()"
        if ndim <= 1:
            return f"{ndim}-d tensor"
        return "bias" if name.endswith(".bias") else ""

    return _decided(model, leave)


def huggingface(model: nn.Module) -> Decisions:
    """The Hugging Face Trainer: all but what lies in an nn.LayerNorm or sounds like a bias or a norm.

    A name sounds so, in lower case, when it contains bias, layernorm or rmsnorm, or when a part between its
    dots is norm or ends in _norm. Source: transformers.Trainer 5.

    Example:
        >>> model = nn.ModuleDict({"bn1": nn.BatchNorm2d(2), "norm": nn.BatchNorm2d(2)})
        >>> [(name, decision.decays) for name, decision in huggingface(model).items() if "weight" in name]
        [('bn1.weight', True), ('norm.weight', False)]
    """
    norms = tuple(f"{name}." for name, m in model.named_modules() if name and isinstance(m, nn.LayerNorm))
    inside = {id(p) for name, p in model.named_parameters() if name.startswith(norms)}

    def leave(name: str, parameter: nn.Parameter, ndim: int) -> str:
        if id(parameter) in inside:
            return "inside a LayerNorm"
        low = name.lower()
        telling = [word for word in ("bias", "layernorm", "rmsnorm") if word in low]
        telling += [part for part in low.split(".") if part == "norm" or part.endswith("_norm")]
        return f"the name contains {telling[0]}" if telling else ""

    return _decided(model, leave)


CONVENTIONS: Mapping[str, Callable[[nn.Module], Decisions]] = {
    "ridgeline": ridgeline,
    "weight_decay": weight_decay,
    "timm": timm,
    "huggingface": huggingface,
}


def of_optimizer(model: nn.Module, optimizer: Optimizer) -> Decisions:
    """What an optimizer decays by itself: the weight_decay of each tensor's group.

    Example:
        >>> line = nn.Linear(2, 2)
        >>> of_optimizer(line, torch.optim.AdamW([line.weight], weight_decay=0.1))
        {'weight': Decision(decays=True, reason='group 0: weight_decay=0.1'),
         'bias': Decision(decays=False, reason='not in the optimizer')}
    """
    groups = {id(p): place for place, g in enumerate(optimizer.param_groups) for p in g["params"]}
    found: Decisions = {}
    for tensor in owned_tensors(model):
        place = groups.get(id(tensor.parameter))
        strength = 0.0 if place is None else group_decay(optimizer, place)
        decision = Decision(strength > 0, f"group {place}: weight_decay={strength:g}")
        if tensor.effective:
            decision = _COMPUTED
        elif not tensor.trainable:
            decision = Decision(False, "frozen")
        elif place is None:
            decision = Decision(False, "not in the optimizer")
        found[tensor.names[0]] = decision
    return found


def group_decay(optimizer: Optimizer, place: int) -> float:
    """The weight_decay of a group; 0 for an optimizer that has none."""
    return float(optimizer.param_groups[place].get("weight_decay") or 0.0)


def known_tensors(model: nn.Module) -> list[OwnedTensor]:
    """The model's tensors, with an empty one of the likely number of dimensions for each that is lazy."""
    return [_stand_in(tensor) for tensor in owned_tensors(model)]


_COMPUTED = Decision(None, "computed from parameters")


def _stand_in(tensor: OwnedTensor) -> OwnedTensor:
    lazy = tensor.parameter
    if not isinstance(lazy, UninitializedParameter):
        return tensor
    vector = "bias" in tensor.leaf or isinstance(tensor.module, NORMS)
    empty = torch.empty((0,) if vector else (0, 0))
    return replace(tensor, parameter=nn.Parameter(empty, requires_grad=lazy.requires_grad))


def _decided(model: nn.Module, leave: Callable[[str, nn.Parameter, int], str]) -> Decisions:
    """The decisions of a convention that knows parameters only.

    `leave(name, parameter, dimensions)` says why one is left, and "" where it is not.
    """
    found: Decisions = {}
    for tensor, known in zip(owned_tensors(model), known_tensors(model), strict=True):
        if tensor.effective:
            decision = _COMPUTED
        elif not tensor.trainable:
            decision = Decision(False, "frozen")
        else:
            why = leave(tensor.names[0], tensor.parameter, known.parameter.ndim)
            decision = Decision(not why, why or "what is not left")
        found[tensor.names[0]] = decision
    return found


def _own_list(model: nn.Module) -> list[str]:
    method = getattr(model, "no_weight_decay", None)
    if not callable(method):
        return []
    try:
        return [str(name) for name in method()]
    except Exception as error:  # a person's method may fail in any way
        raise RidgelineError(
            f"{type(model).__name__}.no_weight_decay() failed ({reason(error)}); timm expects a set of names."
        ) from error
