"""A small valid study, and changes to it, for the tests of the study layer."""

from typing import Any

from ridgeline.study import Study

BASE: dict[str, Any] = {
    "name": "tiny",
    "data": {"name": "digits", "n_train": 60},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"lr": 0.01, "steps": 20, "batch_size": 16},
    "regularization": {"penalty": "l2", "strength": 0.0},
}


def spec(section: str | None = None, **changes: Any) -> dict[str, Any]:
    """BASE with keys of one section, or of the top, set; None takes a key out."""
    raw = {key: dict(value) if isinstance(value, dict) else value for key, value in BASE.items()}
    place = raw if section is None else raw[section]
    for key, value in changes.items():
        place.pop(key, None)
        if value is not None:
            place[key] = value
    return raw


def study(section: str | None = None, **changes: Any) -> Study:
    """The study of `spec`."""
    return Study(**spec(section, **changes))
