"""Dropout's figures: accuracy by epoch of both kinds, and the loss as printed beside the mean loss."""

from typing import TYPE_CHECKING

import polars as pl

from ridgeline.recipes._evidence import by_seed, curve
from ridgeline.recipes._fashion_dropout_claims import BATCH, PRINTED_LOSS, PUBLISHED, WAYS, arm, running
from ridgeline.recipes._recipe import Drawn, Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_UPDATES = 235  # an epoch of the source


def figures(evidence: Evidence) -> list[Drawn]:
    """A figure of accuracies a way, and one of the loss."""
    from ridgeline.report.figures._style import ACCENT, MUTED, TRAIN, VAL, panels

    drawn: list[Drawn] = []
    for way in WAYS:
        figure, axes = panels(2)
        for axis, kind in zip(axes, ("dropout", "control"), strict=True):
            label = arm(way, kind)
            _draw(axis, evidence, label, "running_accuracy", ACCENT, "training, running mean")
            _draw(axis, evidence, label, "train_accuracy", TRAIN, "training, evaluation mode")
            _draw(axis, evidence, label, "test_all_accuracy", VAL, "test")
            if kind == "dropout" and evidence.profile == "full":
                for published, colour in zip(PUBLISHED[way], (ACCENT, VAL), strict=True):
                    axis.plot([5], [published], "x", color=colour, markersize=9)
            axis.set(title=label, ylabel="accuracy")
            axis.legend(frameon=False, fontsize=8)
        caption = (
            f"{way}: accuracy by epoch of 235 updates. Running mean: over the epoch, dropout on, as the source prints "
            "it. Thick: mean over seeds; thin: each seed; crosses: published."
        )
        drawn.append((f"accuracy-{way}", figure, caption))
    figure, axes = panels(len(WAYS))
    for axis, way in zip(axes, WAYS, strict=True):
        rows = running(evidence, arm(way, "dropout"))
        epochs = rows["step"] / _UPDATES
        axis.plot(epochs, rows["loss"], color=VAL, linewidth=2, label="mean loss")
        axis.plot(
            epochs, rows["loss"] / BATCH, color=ACCENT, linewidth=2, label=f"as printed, divided by {BATCH}"
        )
        least = 0.6931471805599453 * (1 - rows["accuracy"])
        axis.plot(epochs, least, color=MUTED, linestyle="--", label="least mean loss with so many wrong")
        if way == "scratch" and evidence.profile == "full":
            axis.plot([1, 5], PRINTED_LOSS, "x", color=ACCENT, markersize=9)
        axis.set(
            title=arm(way, "dropout"), xlabel="epoch", ylabel="training loss, running mean", yscale="log"
        )
        axis.legend(frameon=False, fontsize=8)
    caption = (
        "The loss, dropout on, and as the source prints it, log axis; crosses: published. Mean over seeds."
    )
    drawn.append(("loss", figure, caption))
    return drawn


def _draw(axis: "Axes", evidence: Evidence, label: str, column: str, colour: str, text: str) -> None:
    done = list(by_seed(evidence.results, label, pl.col("seed")))
    rows = curve(evidence.results, label, column).drop_nulls().filter(pl.col("seed").is_in(done))
    for _, seed in rows.group_by("seed", maintain_order=True):
        axis.plot(seed["step"] / _UPDATES, seed[column], color=colour, alpha=0.25, linewidth=0.8)
    mean = rows.group_by("step").agg(pl.col(column).mean()).sort("step")
    axis.plot(mean["step"] / _UPDATES, mean[column], color=colour, linewidth=2, label=text)
    axis.set(xlabel="epoch")
