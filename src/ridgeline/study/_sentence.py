"""Validation errors as one sentence with the dotted key."""

from pydantic import ValidationError

from ridgeline.errors import RidgelineError


def as_sentence(error: ValidationError, prefix: str = "") -> RidgelineError:
    """The first problem of a validation error: key, what is allowed, what was got."""
    first = error.errors()[0]
    where = ".".join(part for part in (prefix, *map(str, first["loc"])) if part)
    message = first["msg"].removeprefix("Value error, ")
    where = f"{where}: " if where else ""
    if first["type"] == "value_error":
        return RidgelineError(f"{where}{message}" + ("" if message.endswith("?") else "."))
    if first["type"] == "missing":
        return RidgelineError(f"{where}this key is missing; add it.")
    return RidgelineError(
        f"{where}{message[:1].lower()}{message[1:]}, got {first['input']!r}; change this value."
    )
