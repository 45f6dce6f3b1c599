"""A small curve for the terminal: training and validation in 60 × 8 characters, in ASCII where need be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis import Curve, History, Role

Floats = npt.NDArray[np.float64]
Dots = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 60, 8
_LONG = 20  # points; of fewer none is left out
_HALVES = " ▀▄█"
# Bits of a braille character's dots, by row and column.
_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True)
class Sketch:
    """A drawing.

    Attributes:
        rows: lines of equal length, the top one first: a scale, then the curves.
        legend: which mark is which curve.
    """

    rows: tuple[str, ...]
    legend: str


def sketch(histories: Sequence[History], metric: str, plain: bool = False) -> Sketch | None:
    """The mean over an arm's runs of one metric; None where nothing can be drawn.

    Args:
        metric: loss or accuracy.
        plain: ASCII alone.
    """
    val, train = (_curves(histories, f"{side}_{metric}") for side in ("val", "train"))  # type: ignore[arg-type]  # a role
    drawn = [curve for curve in [*val, *train] if np.isfinite(curve.values).any()]
    if not drawn or max(len(curve) for curve in drawn) < 2:
        return None
    first = min(float(curve.steps[0]) for curve in drawn)
    last = max(float(curve.steps[-1]) for curve in drawn)
    across = 1 if plain else 2
    thick, thin = (_means(curves, first, last, WIDTH * n) for curves, n in ((val, 1), (train, across)))
    low, high = _limits([thick, thin], metric, skip=0.1 if max(map(len, drawn)) >= _LONG else 0.0)
    if plain:
        rows = _ascii(_dots(thick, low, high, HEIGHT), _dots(thin, low, high, HEIGHT))
    else:
        rows = _blocks(_dots(thick, low, high, 2 * HEIGHT), _dots(thin, low, high, 4 * HEIGHT))
    marks = ("#", ".") if plain else ("▀▄", "⠒⠒")
    parts = [(val, f"{marks[0]} validation {metric}"), (train, f"{marks[1]} training {metric}")]
    unit = histories[0].unit
    return Sketch(
        _framed(rows, low, high, f"{unit} {first:,.6g}", f"{last:,.6g}", plain),
        "   ".join(text for curves, text in parts if curves),
    )


def _curves(histories: Sequence[History], role: Role) -> list[Curve]:
    return [curve for one in histories if (curve := one.curves.get(role)) is not None and len(curve)]


def _means(curves: Sequence[Curve], first: float, last: float, columns: int) -> Floats:
    """The mean over runs in each column, shape (columns,); NaN where there is none."""
    edges = np.linspace(first, last, columns + 1)
    centres = 0.5 * (edges[1:] + edges[:-1])
    sums, counts = np.zeros(columns), np.zeros(columns)
    for curve in curves:
        finite = np.isfinite(curve.values)
        steps, values = curve.steps[finite], curve.values[finite]
        if not len(steps):
            continue
        place = np.clip(np.searchsorted(edges, steps, side="right") - 1, 0, columns - 1)
        total, number = np.bincount(place, values, columns), np.bincount(place, minlength=columns)
        between = np.interp(centres, steps, values, left=np.nan, right=np.nan)
        mean = np.where(number > 0, total / np.maximum(number, 1), between)
        sums += np.nan_to_num(mean)
        counts += np.isfinite(mean)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _limits(curves: Sequence[Floats], metric: str, skip: float) -> tuple[float, float]:
    """What is shown: everything but how far off a run begins, which would flatten all that matters after it."""
    late = np.concatenate([curve[int(skip * len(curve)) :] for curve in curves])
    every = np.concatenate(curves)
    if not np.isfinite(late).any():
        late = every
    low = np.nanmin(late if metric == "accuracy" else every)
    high = np.nanmax(every if metric == "accuracy" else late)
    if high <= low:
        margin = max(abs(low), 1e-6) * 0.1
        low, high = low - margin, high + margin
    return float(low), float(high)


def _dots(curve: Floats, low: float, high: float, rows: int) -> Dots:
    """The curve as dots, neighbours joined, shape (rows, columns); what lies outside is left out."""
    found = np.zeros((rows, len(curve)), dtype=bool)
    with np.errstate(invalid="ignore"):
        level = (high - curve) / (high - low) * (rows - 1)
    before: int | None = None
    for column, at in enumerate(level):
        if not np.isfinite(at):
            before = None
            continue
        row = round(float(np.clip(at, -1, rows)))
        start = row if before is None else before
        reach = range(min(start, row), max(start, row) + 1)
        # of a jump the half that is nearer to this point belongs to its column
        inside = [r for r in reach if 0 <= r < rows and abs(r - row) <= abs(r - start)]
        found[inside, column] = True
        before = row
    return found


def _blocks(thick: Dots, thin: Dots) -> list[str]:
    """Validation in half blocks, training in the finer dots of braille wherever validation leaves room."""
    rows = []
    for row in range(HEIGHT):
        line = ""
        for column in range(WIDTH):
            upper, lower = thick[2 * row : 2 * row + 2, column]
            if upper or lower:
                line += _HALVES[int(upper) + 2 * int(lower)]
                continue
            cell = thin[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]
            bits = sum(_BRAILLE[r][c] for r in range(4) for c in range(2) if cell[r, c])
            line += chr(0x2800 + bits) if bits else " "
        rows.append(line)
    return rows


def _ascii(thick: Dots, thin: Dots) -> list[str]:
    return [
        "".join("#" if up else "." if down else " " for up, down in zip(*both, strict=True))
        for both in zip(thick, thin, strict=True)
    ]


def _framed(rows: list[str], low: float, high: float, first: str, last: str, plain: bool) -> tuple[str, ...]:
    """With the scale at the left and the steps below."""
    labels = [f"{high:.3g}", *[""] * (len(rows) - 2), f"{low:.3g}"]
    margin = max(map(len, labels))
    bar = "|" if plain else "│"
    lines = [f"{label:>{margin}} {bar}{row}" for label, row in zip(labels, rows, strict=True)]
    below = first + last.rjust(max(WIDTH - len(first), len(last) + 1))
    return (*lines, f"{'':>{margin}}  {below}")
