"""S0's figures: error at the source's records, and what a stronger penalty does to one-conv."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import polars as pl

from ridgeline.recipes._evidence import accuracy_gap, by_seed
from ridgeline.recipes._mnist_conv_l2_claims import (
    DEAD,
    MODELS,
    PUBLISHED,
    RECORDS,
    STRENGTHS,
    arm,
    lacking,
    records,
)
from ridgeline.recipes._mnist_conv_l2_grid import last_layer
from ridgeline.recipes._recipe import Drawn, Evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GRID = (("l2", "L2"), ("l1", "L1, gradient"), ("l1-proximal", "L1, proximal"))


def figures(evidence: Evidence) -> list[Drawn]:
    """Whatever the run's arms allow."""
    drawn: list[Drawn] = []
    for model in MODELS:
        kinds = [k for k in ("none", DEAD, "l2", "dropout") if not lacking(evidence, arm(model, k))]
        if kinds:
            caption = (
                f"{model}: error at the source's records, on 1,000 training and 1,000 test images, log axis. "
                "Thick: mean over seeds; thin: each seed; crosses: the source's last record; its L2 is the "
                "penalty as published."
            )
            drawn.append((f"{model}-records", _records(evidence, model, kinds), caption))
    whole = [arm("one-conv", kind, s) for kind, _ in _GRID for s in STRENGTHS]
    if not lacking(evidence, *whole):
        caption = (
            "one-conv on the whole sets, and its last layer, against λ; means over seeds, dashed: no penalty."
        )
        drawn.append(("strength", _strength(evidence), caption))
    return drawn


def _records(evidence: Evidence, model: str, kinds: list[str]) -> "Figure":
    from ridgeline.report.figures._style import TRAIN, VAL, panels

    figure, axes = panels(len(kinds))
    for axis, kind in zip(axes, kinds, strict=True):
        rows = records(evidence, arm(model, kind)).sort("step")
        published = PUBLISHED.get({DEAD: "l2", "l2": ""}.get(kind, kind)) if model == "one-conv" else None
        for place, (column, colour, text) in enumerate((("train", TRAIN, "training"), ("test", VAL, "test"))):
            for _, seed in rows.group_by("seed"):
                axis.plot(seed["step"], _error(seed[column]), color=colour, alpha=0.25, linewidth=0.8)
            mean = rows.group_by("step").agg(pl.col(column).mean()).sort("step")
            axis.plot(mean["step"], _error(mean[column]), color=colour, linewidth=2, label=text)
            if published is not None:
                axis.plot([RECORDS[-1]], [1 - published[place]], "x", color=colour, markersize=8)
        axis.set(title=kind, xlabel="step", ylabel="error", yscale="log")
        axis.legend(frameon=False)
    lowest = min(axis.get_ylim()[0] for axis in axes)
    for axis in axes:
        axis.set(xlim=(0, RECORDS[-1] + 50), ylim=(lowest, 1.1))
    return figure


def _error(accuracy: Iterable[float]) -> list[float]:
    """1 − accuracy; a set without errors is drawn at half an image of its 1,000."""
    return [max(1.0 - value, 5e-4) for value in accuracy]


def _strength(evidence: Evidence) -> "Figure":
    from ridgeline.report.figures._style import MUTED, colours, panels

    figure, axes = panels(3)
    none = arm("one-conv", "none")
    for (kind, text), colour in zip(_GRID, colours(len(_GRID)), strict=True):
        labels = [arm("one-conv", kind, s) for s in STRENGTHS]
        for axis, values in zip(
            axes,
            (
                [_train(evidence, label) for label in labels],
                [_gap(evidence, label) for label in labels],
                [_zeros(evidence, label) for label in labels],
            ),
            strict=True,
        ):
            axis.plot(STRENGTHS, values, marker="o", markersize=4, color=colour, label=text)
    if not lacking(evidence, none):
        for axis, value in zip(axes, (_train(evidence, none), _gap(evidence, none), 0.0), strict=True):
            axis.axhline(value, color=MUTED, linestyle="--", linewidth=1)
    names = ("training accuracy", "training − test accuracy", "exact zeros in the last layer")
    for axis, name in zip(axes, names, strict=True):
        _decorate(axis, name)
    return figure


def _decorate(axis: "Axes", name: str) -> None:
    axis.set(xscale="log", xlabel="λ", ylabel=name, title=name)
    axis.legend(frameon=False, fontsize=8)


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _train(evidence: Evidence, label: str) -> float:
    return _mean(by_seed(evidence.results, label, pl.col("final_train_accuracy")).values())


def _gap(evidence: Evidence, label: str) -> float:
    return _mean(accuracy_gap(evidence.results, label)["value"])


def _zeros(evidence: Evidence, label: str) -> float:
    return _mean(zeros for zeros, _ in last_layer(evidence, label).values())
