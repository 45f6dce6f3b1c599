"""Curves: training and validation data loss of the baseline and the chosen arm, and every arm's penalty."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgeline.report._stored import Stored
from ridgeline.report.figures._style import TRAIN, VAL, colours, panels


def loss_figure(stored: Stored, numbers: dict[str, Any]) -> Figure:
    """Data loss against the step: mean over seeds, each seed thin behind it."""
    chosen = numbers["chosen"] or {}
    shown = list(dict.fromkeys([numbers["baseline"], *chosen.values()]))
    figure, axes = panels(len(shown))
    top = 0.0
    for axis, index in zip(axes, shown, strict=True):
        label = numbers["arms"][index]["arm"]
        for name, colour, text in (("train_loss", TRAIN, "training"), ("val_loss", VAL, "validation")):
            top = max(top, _draw(axis, stored, label, name, colour, text))
        axis.set_title(label)
        axis.set_xlabel("step")
        axis.set_ylabel("data loss")
        axis.legend(frameon=False)
    for axis in axes:
        axis.set_ylim(0, 1.4 * top)
    return figure


def _draw(axis: Axes, stored: Stored, label: str, name: str, colour: str, text: str) -> float:
    steps, values = stored.mean_curve(label, name)
    axis.plot(steps, values.T, color=colour, alpha=0.25, linewidth=0.8)
    axis.plot(steps, values.mean(0), color=colour, linewidth=2, label=text)
    # the first tenth of a run would flatten all that matters after it
    return float(values.mean(0)[len(steps) // 10 :].max())


def penalty_figure(stored: Stored, numbers: dict[str, Any]) -> Figure | None:
    """The penalty against the step, one line an arm, log axis; None where no arm has one."""
    arms = [a for a in numbers["arms"] if a["regularization"] and not a["n_diverged"]]
    if not arms:
        return None
    figure, (axis,) = panels(1)
    for arm, colour in zip(arms, colours(len(arms)), strict=True):
        steps, values = stored.mean_curve(arm["arm"], "penalty")
        axis.plot(steps, values.mean(0), color=colour, label=arm["arm"])
    axis.set(xlabel="step", ylabel="penalty", yscale="log", title="penalty, mean over seeds")
    if len(arms) <= 12:
        axis.legend(frameon=False, fontsize=8)
    return figure
