"""What the figures share: size, colours, and writing as SVG and PNG."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RC: Any = {
    "svg.hashsalt": "ridgeline",
    "svg.fonttype": "path",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "axes.axisbelow": True,
}
TRAIN, VAL, ACCENT, MUTED = "#6b7280", "#0f62a8", "#c2410c", "#9ca3af"


def panels(count: int, height: float = 3.6) -> tuple[Figure, Sequence[Axes]]:
    """A figure with `count` panels side by side."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(5.2 * count, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(1, count, squeeze=False)[0]


def colours(count: int) -> list[tuple[float, float, float, float]]:
    """One colour an arm, in order, readable on white."""
    return [
        tuple(c) for c in matplotlib.colormaps["viridis"]([0.9 * i / max(count - 1, 1) for i in range(count)])
    ]


def as_svg(figure: Figure) -> str:
    """The figure as an <svg> element; the same numbers give the same text."""
    with matplotlib.rc_context(RC):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Figure) -> bytes:
    """The figure as PNG, 150 dots an inch."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(RC):
        figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
