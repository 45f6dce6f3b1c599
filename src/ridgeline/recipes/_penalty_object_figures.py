"""S3's figures: the printed loss and accuracy, the fixed images, Σ‖w‖, and the long arms."""

from typing import TYPE_CHECKING

import polars as pl

from ridgeline.recipes._evidence import by_seed, curve
from ridgeline.recipes._penalty_object_arms import (
    DECAY,
    DECOUPLED,
    LONG,
    NONE,
    OBJECT,
    STRENGTHS,
    arm,
    long,
)
from ridgeline.recipes._recipe import Drawn, Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SHOWN = {
    "printed": (
        {
            "printed loss": pl.col("batch_loss") + pl.col("penalty"),
            "batch accuracy": pl.col("batch_accuracy"),
        },
        "As the source prints them: the batch's loss, penalty included with the object, and its accuracy.",
    ),
    "on-fixed-images": (
        {"data loss": pl.col("head_loss"), "accuracy": pl.col("head_accuracy")},
        "On the fixed 1,000 images, in evaluation mode and without the penalty.",
    ),
}


def figures(evidence: Evidence) -> list[Drawn]:
    """What the source shows, with weight_decay and with the object; means over seeds, each seed thin behind them."""
    from ridgeline.report.figures._style import panels

    both = {kind: [NONE, *(arm(kind, s) for s in STRENGTHS)] for kind in (DECAY, OBJECT)}
    found: list[Drawn] = []
    for name, (columns, caption) in _SHOWN.items():
        for kind, labels in both.items():
            figure, axes = panels(2)
            for axis, (title, value) in zip(axes, columns.items(), strict=True):
                _draw(evidence, axis, labels, value)
                axis.set(xlabel="step", ylabel=title, yscale="log" if title.endswith("loss") else "linear")
            found.append((f"{kind.replace('_', '-')}-{name}", figure, f"{kind}. {caption}"))
    figure, axes = panels(2)
    for axis, strength in zip(axes, STRENGTHS, strict=True):
        _draw(evidence, axis, [arm(OBJECT, strength)], pl.col("penalty") / strength)
        axis.set(title=arm(OBJECT, strength), xlabel="step", ylabel="Σ‖w‖")
    axes[1].set_ylim(axes[0].get_ylim())
    found.append(
        ("saturation", figure, "Σ‖w‖ with the object at 10 and at a thousand times that, on one scale.")
    )
    lasting = [long(label) for label in (NONE, *both[OBJECT][1:], arm(DECOUPLED, STRENGTHS[0]))]
    if by_seed(evidence.results, lasting[0], pl.col("seed")):
        figure, axes = panels(2)
        for axis, (title, column) in zip(
            axes, (("validation", "val_loss"), ("training", "train_loss")), strict=True
        ):
            _draw(evidence, axis, lasting, pl.col(column))
            axis.set(title=title, xlabel="step", ylabel="data loss", yscale="log")
        found.append(
            ("long", figure, f"The steps extended to {LONG:,}, with the object and with decoupled L2.")
        )
    return found


def _draw(evidence: Evidence, axis: "Axes", labels: list[str], value: pl.Expr) -> None:
    """A line an arm, a mean over the seeds that finished."""
    from ridgeline.report.figures._style import colours

    for label, colour in zip(labels, colours(len(labels)), strict=True):
        columns = value.meta.root_names()
        done = list(by_seed(evidence.results, label, pl.col("seed")))
        rows = curve(evidence.results, label, *columns).filter(pl.col("seed").is_in(done))
        points = rows.select("seed", "step", value=value).drop_nulls()
        for (_,), one in points.group_by("seed", maintain_order=True):
            axis.plot(one["step"], one["value"], color=colour, alpha=0.15, linewidth=0.6)
        mean = points.group_by("step").agg(pl.col("value").mean()).sort("step")
        axis.plot(mean["step"], mean["value"], color=colour, linewidth=2, label=label)
    axis.legend(frameon=False, fontsize=8)
