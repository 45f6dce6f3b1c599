"""What the figures share: size, colours, and writing as SVG and PNG."""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
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
    buffer = io.StringIO()
    with _drawing(figure):
        canvas: Any = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def as_png(figure: Figure) -> bytes:
    """The figure as PNG, 150 dots an inch."""
    buffer = io.BytesIO()
    figure.dpi = 150
    with _drawing(figure):
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(buffer)
    return buffer.getvalue()


@contextmanager
def _drawing(figure: Figure) -> Iterator[None]:
    """Draw it once: `savefig` would draw it before as well, and lay it out each time."""
    with matplotlib.rc_context(RC):
        yield
    figure.set_layout_engine("none")
