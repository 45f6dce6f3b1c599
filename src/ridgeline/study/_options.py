"""`data:` and `model:`: which kind is meant, and options checked against the function that takes them."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from ridgeline.data import SOURCES, table
from ridgeline.errors import RidgelineError, nearest
from ridgeline.models import NETWORKS
from ridgeline.study._config import Count, Share, Strict, unknown_key


class DrawConfig(Strict):
    """What every data set understands besides its own options."""

    n_train: Count | None = None
    val_share: Share | None = None
    label_noise: Share = 0.0
    split: Literal["seed", "fixed"] = "seed"


# Arguments that the program fills in, so a specification may not.
_FILLED = {"data_dir", "input_shape", "n_outputs", "file"}


def data_kind(raw: Mapping[str, Any]) -> str:
    """Which of name, factory and file a `data` section has; exactly one."""
    return _one_of(raw, ("name", "factory", "file"), "data")


def model_kind(raw: Mapping[str, Any]) -> str:
    """Which of name and factory a `model` section has; exactly one."""
    return _one_of(raw, ("name", "factory"), "model")


def _one_of(raw: Mapping[str, Any], kinds: tuple[str, ...], section: str) -> str:
    given = [kind for kind in kinds if kind in raw]
    if len(given) != 1:
        raise RidgelineError(f"{section} needs exactly one of {', '.join(kinds)}; it has {given or 'none'}.")
    if not isinstance(raw[given[0]], str):
        raise RidgelineError(f"{section}.{given[0]} is {raw[given[0]]!r}; it must be text.")
    return given[0]


def data_options(raw: Mapping[str, Any]) -> tuple[dict[str, Any], DrawConfig]:
    """A `data` section taken apart: options of its source, and what every source understands."""
    own, common = _data(raw)
    return own.model_dump(exclude_unset=True), common


def data_identity(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A `data` section without what is at its default; a file counts by its content, not by its path.

    So a table that has changed makes new trials, and old results are never mixed with new ones.
    """
    own, common = _data(raw)
    kind = data_kind(raw)
    path = Path(raw[kind])
    in_file = kind == "file" and path.is_file()
    return {
        kind: _digest(path, path.stat().st_mtime_ns) if in_file else raw[kind],
        **own.model_dump(exclude_defaults=True),
        **common.model_dump(exclude_defaults=True),
    }


@lru_cache(maxsize=8)
def _digest(path: Path, changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _data(raw: Mapping[str, Any]) -> tuple[BaseModel, DrawConfig]:
    kind = data_kind(raw)
    rest = {key: value for key, value in raw.items() if key != kind}
    also = list(DrawConfig.model_fields)
    if kind == "name":
        own = _options("data", raw["name"], SOURCES, rest, also)
    elif kind == "file":
        own = _validated("data", table, rest, also)
    else:
        own = _Anything(**{key: value for key, value in rest.items() if key not in ("split", "val_share")})
    common = {key: value for key, value in rest.items() if key not in own.model_fields_set}
    return own, DrawConfig.model_validate(common)


def model_options(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A `model` section's options, checked where the model is a named one."""
    return _model(raw).model_dump(exclude_unset=True)


def model_identity(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A `model` section without what is at its default."""
    kind = model_kind(raw)
    return {kind: raw[kind], **_model(raw).model_dump(exclude_defaults=True)}


def _model(raw: Mapping[str, Any]) -> BaseModel:
    kind = model_kind(raw)
    rest = {key: value for key, value in raw.items() if key != kind}
    return _Anything(**rest) if kind == "factory" else _options("model", raw["name"], NETWORKS, rest, [])


class _Anything(BaseModel):
    """The arguments of a person's own function, which alone knows them."""

    model_config = ConfigDict(extra="allow")


def _options(
    section: str,
    name: str,
    table_of: Mapping[str, Callable[..., Any]],
    rest: Mapping[str, Any],
    also: list[str],
) -> BaseModel:
    if name not in table_of:
        raise RidgelineError(f"{section}.name is {name!r}; {nearest(name, table_of)}")
    return _validated(section, table_of[name], rest, also)


def _validated(
    section: str, function: Callable[..., Any], rest: Mapping[str, Any], also: list[str]
) -> BaseModel:
    """Those of `rest` that are arguments of the function, checked against its annotations."""
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in _FILLED:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (parameter.annotation, Field(default=default))
    for key in rest:
        if key not in fields and key not in also:
            raise RidgelineError(f"{section}: {unknown_key(key, sorted({*fields, *also}))}")
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    model: type[BaseModel] = create_model(section, __config__=config, **fields)
    return model.model_validate({key: value for key, value in rest.items() if key in fields})
