"""The grid: arms × vary as named sets of overrides."""

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, ValidationError, model_validator

from ridgeline.errors import RidgelineError, nearest
from ridgeline.study._config import Strict
from ridgeline.study._sentence import as_sentence
from ridgeline.study._spec import StudySpec

Finite = Annotated[float, Field(allow_inf_nan=False)]
Ends = Annotated[list[Finite], Field(min_length=2, max_length=2)]


class RangeConfig(Strict):
    """An axis as a range: n values from the first to the last, evenly in the logarithm or linearly."""

    log: Ends | None = None
    linear: Ends | None = None
    n: Annotated[int, Field(ge=1)]
    zero: bool = False

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.log is None) == (self.linear is None):
            raise ValueError("give either log: [first, last] or linear: [first, last]")
        if self.log is not None and min(self.log) <= 0:
            raise ValueError("a log range needs ends above 0; add zero: true for 0 itself")
        return self

    def values(self) -> list[float]:
        """The axis' values, rounded to 12 digits, 0 first where asked for."""
        first, last = self.log or self.linear or (0.0, 0.0)
        space = np.geomspace(first, last, self.n) if self.log else np.linspace(first, last, self.n)
        return ([0.0] if self.zero else []) + [float(f"{value:.12g}") for value in space]


@dataclass(frozen=True)
class Arm:
    """A configuration before seeds: its label, and every override by dotted key."""

    label: str
    overrides: dict[str, Any]


def expand(spec: StudySpec) -> list[Arm]:
    """All arms of a study, named arms first, each crossed with every axis of `vary`.

    Raises:
        RidgelineError: for an empty axis, a value listed twice, or a key both varied and set by an arm.
    """
    axes = {key: _values(key, axis) for key, axis in (spec.vary or {}).items()}
    named = {label: overrides or {} for label, overrides in (spec.arms or {"": {}}).items()}
    arms = []
    for label, overrides in named.items():
        for key in axes:
            if key in overrides:
                raise RidgelineError(f"arms.{label}.{key} is varied as well; set it in one place.")
        for point in itertools.product(*axes.values()):
            varied = dict(zip(axes, point, strict=True))
            parts = ([label] if label else []) + [
                f"{_short(key, axes)}={show(v)}" for key, v in varied.items()
            ]
            arms.append(Arm(", ".join(parts) or spec.name, {**overrides, **varied}))
    labels = [arm.label for arm in arms]
    if len(set(labels)) < len(labels):
        double = next(label for label in labels if labels.count(label) > 1)
        raise RidgelineError(f"vary gives the arm {double!r} twice; list each value once.")
    return arms


def _values(key: str, axis: object) -> list[Any]:
    if isinstance(axis, dict):
        try:
            return list(RangeConfig.model_validate(axis).values())
        except ValidationError as error:
            raise as_sentence(error, f"vary.{key}") from None
    if not isinstance(axis, list):
        raise RidgelineError(
            f"vary.{key} is {axis!r}; write a list of values, or a range such as {{log: [1e-5, 1e-1], n: 9}}."
        )
    if not axis:
        raise RidgelineError(f"vary.{key} is empty; list at least one value, or leave the axis out.")
    return axis


def _short(key: str, keys: Mapping[str, Any]) -> str:
    """The last word of a dotted key, or more of it where two axes end alike."""
    parts = key.split(".")
    for take in range(1, len(parts) + 1):
        tail = ".".join(parts[-take:])
        if sum(other == key or other.endswith(f".{tail}") for other in keys) == 1:
            return tail
    return key


def show(value: object) -> str:
    """A value as an arm's label shows it.

    Example:
        >>> show(0.001), show([64, 64]), show("adam")
        ('0.001', '[64, 64]', 'adam')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def override(sections: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the sections with each dotted key set; a list's entries are addressed by their name.

    Raises:
        RidgelineError: when a key leads nowhere.
    """
    result: dict[str, Any] = copy.deepcopy(dict(sections))
    for dotted, value in overrides.items():
        *path, last = dotted.split(".")
        place: Any = result
        for depth, part in enumerate(path):
            place = _descend(place, part, ".".join(path[: depth + 1]), dotted)
        if not isinstance(place, dict):
            why = (
                "has several entries; address one by its name" if isinstance(place, list) else "is no section"
            )
            raise RidgelineError(f"{dotted}: {'.'.join(path)} {why}.")
        place[last] = copy.deepcopy(value)
    return result


def _descend(place: Any, part: str, so_far: str, dotted: str) -> Any:
    if isinstance(place, list):
        names = [str(entry.get("name")) for entry in place if isinstance(entry, dict) and "name" in entry]
        for entry in place:
            if isinstance(entry, dict) and entry.get("name") == part:
                return entry
        raise RidgelineError(
            f"{dotted}: no entry of {so_far.rpartition('.')[0]} is called {part!r}; {nearest(part, names)}"
        )
    if not isinstance(place, dict):
        raise RidgelineError(f"{dotted}: {so_far} is no section; check the key.")
    if place.get(part) is None:
        place[part] = {}
    return place[part]
