"""Sentences with numbers: a template names each number by its key, so that every one can be checked."""

import html
import re
from typing import Any

_NUMBER = re.compile(r"\{([\w.]+):([^}]*)\}")
_MINUS = "−"


def look_up(numbers: Any, key: str) -> Any:
    """The value at a dotted key; list places are numbers.

    Example:
        >>> look_up({"arms": [{"mean": 0.5}]}, "arms.0.mean")
        0.5
    """
    for part in key.split("."):
        numbers = numbers[int(part)] if isinstance(numbers, list) else numbers[part]
    return numbers


def show(value: float | None, form: str) -> str:
    """A number as a reader sees it: a real minus sign, a dash for none, digits that fit its size.

    Example:
        >>> show(-2.5, ".1f"), show(None, "d"), show(-0.0, "+.3f")
        ('−2.5', '–', '+0.000')
        >>> show(0.00012, ".3f"), show(178989997331.9, ".3f")
        ('0.00012', '1.79e+11')
    """
    if value is None:
        return "–"
    if form.endswith("f") and value and not 0.5 * 10 ** -int(form[-2]) <= abs(value) < 1e5:
        form = form.split(".")[0] + (".3g" if abs(value) >= 1 else ".2g")
    # z: no minus before a number that rounds to zero
    form = form.replace(".", "z.", 1) if form.endswith(("f", "%")) else form
    return format(value, form).replace("-", _MINUS)


def plain(template: str, numbers: Any) -> str:
    """The sentence as text.

    Example:
        >>> plain("loss {a.0:.2f}", {"a": [-1.234]})
        'loss −1.23'
    """
    return _NUMBER.sub(lambda m: show(look_up(numbers, m[1]), m[2]), template)


def marked(template: str, numbers: Any) -> str:
    """The sentence as HTML, each number a <data> element with its key and full value."""
    parts, end = [], 0
    for match in _NUMBER.finditer(template):
        parts += [html.escape(template[end : match.start()]), data(numbers, match[1], match[2])]
        end = match.end()
    return "".join([*parts, html.escape(template[end:])])


def data(numbers: Any, key: str, form: str) -> str:
    """One number as a <data> element."""
    value = look_up(numbers, key)
    full = "" if value is None else repr(value)
    return f'<data data-key="{key}" data-form="{form}" value="{full}">{show(value, form)}</data>'
