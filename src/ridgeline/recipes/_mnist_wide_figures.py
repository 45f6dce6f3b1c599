"""What S2's source shows, drawn of our runs: curves, the same without their start, weights as images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from safetensors.torch import load_file

from ridgeline.recipes._evidence import Floats, last_weights
from ridgeline.recipes._mnist_wide_stored import (
    BLANK,
    L2,
    MATRICES,
    NONE,
    PUBLISHED,
    RATES,
    STRENGTHS,
    arm,
    blank_pixels,
    checks_of,
    sparsities,
    tested,
)
from ridgeline.recipes._recipe import Drawn, Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SKIPPED = 20  # records that the source leaves out to see the rest
PIXELS = 250  # of a matrix's image, at most, in each direction
_COLUMNS = ("trained_loss", "val_loss", "val_accuracy", "penalty")
_TITLES = ("training loss", "validation loss", "validation accuracy")


def drawn_of_rates(evidence: Evidence) -> Sequence[Drawn]:
    """Part A: a row of panels for each strength, a colour for each learning rate."""
    rows = {f"λ = {strength:g}": {f"lr {lr:g}": arm(lr, strength) for lr in RATES} for strength in STRENGTHS}
    return _drawn(evidence, rows, {f"lr {lr:g}": arm(lr, STRENGTHS[0]) for lr in RATES})


def drawn_of_strengths(evidence: Evidence) -> Sequence[Drawn]:
    """Part B: without and with L2 in one row of panels."""
    arms = {"without L2": NONE, "L2, λ = 0.0005": L2}
    (name, figure, caption), *others = _drawn(evidence, {"lr 0.005": arms}, arms)
    same = "The same programs as lr 0.005 of mnist-wide-lr, run in a folder of their own with more seeds."
    return [(name, figure, f"{caption} {same}"), *others]


def _drawn(
    evidence: Evidence, rows: Mapping[str, Mapping[str, str]], pictured: Mapping[str, str]
) -> Sequence[Drawn]:
    checks = {
        label: checks_of(evidence.results, label, *_COLUMNS)
        for row in rows.values()
        for label in row.values()
    }
    longest = max((len(run) for runs in checks.values() for run in runs.values()), default=0)
    skipped = min(SKIPPED, longest // 3)  # a quick run has few records
    meaning = (
        "Full lines: the data loss; dotted: with the penalty, as published. Median over seeds and their range; "
        "the training loss is that of the batch just trained on, after its update."
    )
    return [
        ("published-curves", _curves(rows, checks, 0), f"Training and validation at each record. {meaning}"),
        ("published-curves-late", _curves(rows, checks, skipped), f"Without the first {skipped} records."),
        (
            "published-weights",
            _weights(evidence, pictured),
            "W1…W4 of one seed after the last update, as images (inputs downwards), each entry's place between the "
            "matrix's least (black) and greatest (white); of wide matrices every k-th row and column. The source's "
            "own subplot index fails at W1.",
        ),
        (
            "published-endings",
            _endings(evidence, rows),
            "Final test accuracy by seed, and the sparsity of each matrix: exact zeros, and entries below 1e-3 of "
            "the largest; the columns of W1 whose pixel is blank in every training image stand apart.",
        ),
    ]


def _figure(rows: int, columns: int, height: float) -> "tuple[Figure, Any]":
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from ridgeline.report.figures._style import RC

    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(4.4 * columns, height * rows), layout="constrained")
        FigureCanvasAgg(figure)
        return figure, figure.subplots(rows, columns, squeeze=False)


def _curves(
    rows: Mapping[str, Mapping[str, str]], checks: Mapping[str, Mapping[int, pl.DataFrame]], skipped: int
) -> "Figure":
    from ridgeline.report.figures._style import colours

    figure, axes = _figure(len(rows), 3, 3.2)
    for line, (title, arms) in zip(axes, rows.items(), strict=True):
        for (name, label), colour in zip(arms.items(), colours(len(arms)), strict=True):
            runs = [run[skipped:] for run in checks[label].values()]
            for axis, column in zip(line, _COLUMNS[:3], strict=True):
                _line(axis, runs, column, colour, name)
        for axis, what in zip(line, _TITLES, strict=True):
            axis.set(title=f"{what}, {title}", xlabel="step")
        for axis in line[:2]:
            axis.set_yscale("log")
        if line[2].lines:
            line[2].legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _line(axis: "Axes", runs: Sequence[pl.DataFrame], column: str, colour: Any, name: str) -> None:
    """Median and range over seeds; a loss also with the penalty."""
    if not runs:
        return
    by_step = pl.concat(runs).group_by("step", maintain_order=True)
    value = pl.col(column)
    frame = by_step.agg(
        value.median().alias("mid"),
        value.min().alias("low"),
        value.max().alias("high"),
        (value + pl.col("penalty")).median().alias("penalised"),
    ).sort("step")
    steps = frame["step"].to_numpy()
    axis.plot(steps, frame["mid"].to_numpy(), color=colour, linewidth=1.4, label=name)
    if len(runs) > 1:
        axis.fill_between(
            steps, frame["low"].to_numpy(), frame["high"].to_numpy(), color=colour, alpha=0.15, linewidth=0
        )
    if column != "val_accuracy":
        axis.plot(steps, frame["penalised"].to_numpy(), color=colour, linewidth=0.7, linestyle=":")


def picture(w: Floats, pixels: int = PIXELS) -> Floats:
    """A matrix as an image in [0, 1], inputs downwards: min–max normalised, every k-th row and column."""
    spread = w.max() - w.min()
    scaled = ((w - w.min()) / (spread if spread else 1.0)).T
    across, down = (-(-size // pixels) for size in (scaled.shape[1], scaled.shape[0]))
    return np.asarray(scaled[::down, ::across])


def _weights(evidence: Evidence, pictured: Mapping[str, str]) -> "Figure":
    figure, axes = _figure(len(pictured), len(MATRICES), 3.4)
    for line, (name, label) in zip(axes, pictured.items(), strict=True):
        kept = last_weights(evidence.results, label).items()
        files = {seed: path for seed, path in kept if path.is_file()}
        found = load_file(files[min(files)]) if files else {}
        matrices = [found[key] for key in sorted(found) if found[key].ndim == 2]
        for axis in line:
            axis.set_axis_off()
        for axis, which, w in zip(line, MATRICES, matrices, strict=False):
            # "none": stored as it is, not drawn anew at the page's size
            axis.imshow(
                picture(w.double().numpy()), cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="none"
            )
            axis.set_title(f"{which}, {name}\n[{float(w.min()):.3g}, {float(w.max()):.3g}]", fontsize=9)
    return figure


def _endings(evidence: Evidence, rows: Mapping[str, Mapping[str, str]]) -> "Figure":
    from ridgeline.report.figures._style import MUTED, colours

    results, blank = evidence.results, blank_pixels(evidence.data_dir)
    labels = {f"{name}, {title}": label for title, row in rows.items() for name, label in row.items()}
    parts = [*MATRICES, *([] if blank is None else [BLANK])]
    figure, axes = _figure(1, 3, 3.8)
    accuracy, zero, small = axes[0]
    for place, ((name, label), colour) in enumerate(zip(labels.items(), colours(len(labels)), strict=True)):
        scores = tested(results, label)
        accuracy.plot([place] * len(scores), scores, "o", color=colour, markersize=4)
        if label in PUBLISHED:
            accuracy.plot(place, PUBLISHED[label], "_", color=MUTED, markersize=28, label="published")
        shares = sparsities(results, label, blank).values()
        for axis, of in ((zero, "zero"), (small, "small")):
            means = [np.mean([share[part][of] for share in shares]) if shares else np.nan for part in parts]
            axis.plot(range(len(parts)), means, "o", color=colour, markersize=5, label=name)
    accuracy.set_xticks(range(len(labels)), list(labels), rotation=30, ha="right", fontsize=8)
    accuracy.set(title="final test accuracy", xlim=(-0.6, len(labels) - 0.4))
    for axis, title in ((zero, "exact zeros"), (small, "below 1e-3 of the largest")):
        axis.set_xticks(range(len(parts)), [part.replace(", ", "\n") for part in parts], fontsize=8)
        axis.set(title=f"share: {title}", ylim=(-0.03, 1.03))
    small.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
