"""The line's figures: train and test loss by epoch on a log axis as the source shows them, and ‖w‖."""

from typing import TYPE_CHECKING, Any

import polars as pl

from ridgeline.recipes._evidence import by_seed, curve
from ridgeline.recipes._line_weight_decay_claims import STRENGTHS, WAYS, ZERO, arm
from ridgeline.recipes._recipe import Drawn, Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = (
    "half the squared error by epoch, log axis, without penalty. Thick: median over seeds; thin: each seed; "
    "dashed: the training mean on the test set."
)


def figures(evidence: Evidence) -> list[Drawn]:
    """A figure a way, one of the start at 0, one of ‖w‖."""
    from ridgeline.report.figures._style import TRAIN, VAL, colours, panels

    drawn: list[Drawn] = []
    for name, labels in (
        *((way, [arm(way, s) for s in STRENGTHS]) for way in WAYS),
        ("zero-init", [ZERO]),
    ):
        figure, axes = panels(len(labels))
        for axis, label in zip(axes, labels, strict=True):
            _draw(axis, evidence, label, "train_loss", TRAIN, "training")
            _draw(axis, evidence, label, "test_all_loss", VAL, "test")
            null = list(by_seed(evidence.results, label, pl.col("null_test_loss")).values())
            if null:
                axis.axhline(sum(null) / len(null), color=VAL, linestyle="--", linewidth=1)
            axis.set(title=label, ylabel="data loss")
        drawn.append((f"loss-{name}", figure, f"{name}: {_CAPTION}"))
    labels = [arm(way, s) for way in WAYS for s in STRENGTHS] + [ZERO]
    figure, (axis,) = panels(1)
    for label, colour in zip(labels, colours(len(labels)), strict=True):
        _draw(axis, evidence, label, "weight_norm", colour, label)
    axis.set(title="norm of the weights", ylabel="‖w‖₂")
    axis.legend(frameon=False, fontsize=8)
    drawn.append(("norm", figure, "‖w‖₂ by epoch, log axis, median over seeds; thin: each seed."))
    return drawn


def _draw(axis: "Axes", evidence: Evidence, label: str, column: str, colour: Any, text: str) -> None:
    """From the first epoch on, as the source records."""
    rows = curve(evidence.results, label, "epoch", column).drop_nulls()
    rows = rows.filter((pl.col("epoch") >= 1) & (pl.col(column) > 0))
    for _, seed in rows.group_by("seed", maintain_order=True):
        axis.plot(seed["epoch"], seed[column], color=colour, alpha=0.2, linewidth=0.6)
    middle = rows.group_by("epoch").agg(pl.col(column).median()).sort("epoch")
    axis.plot(middle["epoch"], middle[column], color=colour, linewidth=2, label=text)
    axis.set(xlabel="epoch", yscale="log")
    axis.legend(frameon=False)
