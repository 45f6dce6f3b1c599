"""What a person names on the command line: their factories by import path, settings as key=value."""

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from ridgeline.errors import RidgelineError, nearest
from ridgeline.models import call_factory, import_factory
from ridgeline.study import parse_yaml


def settings_of(changes: Sequence[str], example: str) -> dict[str, Any]:
    """`--set key=value` as a dict, values read as YAML.

    Args:
        example: what the error suggests.

    Raises:
        RidgelineError: for one without a key or an equals sign.
    """
    settings: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not key:
            raise RidgelineError(f"--set {change!r} is no key=value; write e.g. --set {example}.")
        settings[key] = parse_yaml(value, f"--set {key}")
    return settings


def model_of(path: str, settings: dict[str, Any]) -> nn.Module:
    """The model that a factory, class or instance gives."""
    factory = _imported(path, "the model")
    if isinstance(factory, nn.Module):
        if settings:
            raise RidgelineError(f"{path} is a model already, so --set has no effect; leave --set out.")
        return factory
    _check_arguments(factory, settings, path)
    with _exit_caught(path):
        made = call_factory(factory, settings, 0, path)
    if not isinstance(made, nn.Module):
        raise RidgelineError(
            f"{path} returned a {type(made).__name__}, not a torch.nn.Module; return the model."
        )
    return made


def optimizer_of(path: str, model: nn.Module) -> Optimizer:
    """The optimizer that a function of the model gives."""
    factory = _imported(path, "the optimizer")
    name = factory.__name__ if isinstance(factory, type) and issubclass(factory, Optimizer) else ""
    if name:
        raise RidgelineError(
            f"{path} is a class of optimizers; name a function that takes the model and returns the optimizer, such "
            f"as def make(model): return {name}(model.parameters(), ...)."
        )
    with _exit_caught(path):
        made = call_factory(lambda: factory(model), {}, 0, f"{path}, called with the model,")
    if not isinstance(made, Optimizer):
        raise RidgelineError(
            f"{path} returned a {type(made).__name__}, not a torch.optim.Optimizer; return the optimizer."
        )
    return made


def _imported(path: str, key: str) -> Callable[..., Any]:
    """What `path` names: "package.module:function", or a file below the working directory, "net.py:function"."""
    module, _, attribute = path.partition(":")
    if module.endswith(".py") and attribute:
        path = f"{_module_of(Path(module))}:{attribute}"
    with _exit_caught(path):
        return import_factory(path, key)


def _module_of(file: Path) -> str:
    if not file.is_file():
        raise RidgelineError(f"{file} does not exist; check the path.")
    if file.is_absolute() or ".." in file.parts:
        raise RidgelineError(
            f"{file} lies outside the working directory; change to its folder, and name it there."
        )
    name = ".".join(file.with_suffix("").parts)
    loaded = sys.modules.get(name)
    if loaded is not None and Path(loaded.__file__ or "").resolve() != file.resolve():
        raise RidgelineError(f"another module is called {name!r} already; rename {file}.")
    return name


def _check_arguments(factory: Callable[..., Any], settings: dict[str, Any], path: str) -> None:
    """Refuse missing and unknown arguments before anything runs."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # some built-in functions have none
        return
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    missing = [name for name, p in named.items() if p.default is p.empty and name not in settings]
    if missing:
        raise RidgelineError(
            f"{path} needs arguments ({', '.join(missing)}); give them, such as --set {missing[0]}=..., or name a "
            f"function that needs none."
        )
    unknown = [key for key in settings if key not in named]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters):
        raise RidgelineError(f"{path} has no argument {unknown[0]!r}; {nearest(unknown[0], named)}")


@contextlib.contextmanager
def _exit_caught(path: str) -> Iterator[None]:
    """A module that is a program may parse its own arguments, or end the process."""
    try:
        yield
    except SystemExit as error:
        raise RidgelineError(
            f"{path} ended the program (SystemExit: {error.code}) when it was imported or called; put what starts "
            f"a training under if __name__ == '__main__'."
        ) from None
