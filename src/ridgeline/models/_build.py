"""One trial's model: a named network, or a person's own factory, with weights drawn by the seed."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ridgeline.errors import RidgelineError, reason
from ridgeline.models._initial import draw_initial
from ridgeline.models._networks import NETWORKS
from ridgeline.noise import Clock, install_dropout, stream_key


def build_named(
    name: str,
    options: Mapping[str, Any],
    input_shape: tuple[int, ...],
    n_outputs: int,
    clock: Clock,
) -> nn.Module:
    """A network by name; its weights are counter-based draws of (seed, parameter name)."""
    try:
        model = NETWORKS[name](input_shape, n_outputs, **options)
    except ValueError as error:
        raise RidgelineError(str(error)) from None
    draw_initial(model, clock.seed)
    install_dropout(model, clock)
    return model


def build_factory(factory: Callable[..., Any], options: Mapping[str, Any], clock: Clock) -> nn.Module:
    """A person's own model: the factory runs on the CPU with torch's generator seeded by the trial's seed.

    `dropout` goes to the factory if it takes that argument; otherwise it is set on every nn.Dropout.
    """
    arguments = dict(options)
    rate = None
    parameters = inspect.signature(factory).parameters
    takes = "dropout" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if not takes:
        rate = arguments.pop("dropout", None)
    seed = stream_key(clock.seed, "weights")
    model = call_factory(factory, arguments, seed, f"model.factory: {_label(factory)}")
    if not isinstance(model, nn.Module):
        raise RidgelineError(
            f"model.factory: {_label(factory)} returned a {type(model).__name__}, not a torch.nn.Module; "
            f"return the model."
        )
    if install_dropout(model, clock, rate) == 0 and rate is not None:
        raise RidgelineError(
            f"model.dropout has no effect: {_label(factory)} returns a model without nn.Dropout layers."
        )
    return model


def call_factory(factory: Callable[..., Any], arguments: Mapping[str, Any], seed: int, title: str) -> Any:
    """What a person's function returns, with torch's generator seeded for it and set back afterwards.

    Raises:
        RidgelineError: when it fails in any way; `title` names it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return factory(**arguments)
        except RidgelineError:
            raise
        except Exception as error:  # a person's function may fail in any way
            raise RidgelineError(f"{title} failed ({reason(error)}); check its arguments.") from error


def import_factory(path: str, key: str) -> Callable[..., Any]:
    """The callable at "package.module:function"; the working directory is importable, as under python -m.

    Raises:
        RidgelineError: for another form, a module that cannot be imported, or a name that is no callable.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise RidgelineError(f"{key} is {path!r}; write it as 'package.module:function'.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        target: Any = importlib.import_module(module_name)
    except Exception as error:  # a person's module may fail in any way while it is imported
        raise RidgelineError(
            f"{key}: module {module_name!r} cannot be imported ({type(error).__name__}: {error}); check the "
            f"name, and that it lies in the working directory or is installed."
        ) from None
    for part in attribute.split("."):
        target = getattr(target, part, None)
    if not callable(target):
        raise RidgelineError(f"{key}: {module_name!r} has no function {attribute!r}; check the name.")
    result: Callable[..., Any] = target
    return result


def _label(factory: Callable[..., Any]) -> str:
    return getattr(factory, "__qualname__", repr(factory))
