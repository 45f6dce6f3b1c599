"""The response: how losses and accuracy answer to the strength."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ridgeline.report.figures._style import ACCENT, TRAIN, VAL, panels


def response_figure(numbers: dict[str, Any]) -> Figure | None:
    """Final data loss and accuracy against the strength, with intervals; None where no strength varies.

    Where other keys vary as well, one line a setting of those.
    """
    key = next((k for k in numbers["varied"] if k.endswith(".strength")), None)
    arms = [a for a in numbers["arms"] if a["final"] and a["varied"].get(key) is not None]
    if key is None or len({a["varied"][key] for a in arms}) < 2:
        return None
    classes = "val_accuracy" in numbers["metrics"]
    figure, axes = panels(2 if classes else 1)
    groups: dict[str, list[dict[str, Any]]] = {}
    for arm in arms:
        others = ", ".join(f"{k.split('.')[-1]}={v}" for k, v in arm["varied"].items() if k != key)
        groups.setdefault(others, []).append(arm)
    positive = sorted({a["varied"][key] for a in arms if a["varied"][key] > 0})
    zero = positive[0] / 10 if positive else 1.0
    for axis, kind in zip(axes, ("loss", "accuracy"), strict=False):
        for place, (label, members) in enumerate(groups.items()):
            _lines(axis, members, key, kind, zero, label, place)
        has_zero = any(a["varied"][key] == 0 for a in arms)
        _decorate(axis, key, kind, ([zero] if has_zero else []) + positive, has_zero)
    return figure


def _lines(
    axis: Axes, members: list[dict[str, Any]], key: str, kind: str, zero: float, label: str, place: int
) -> None:
    members = sorted(members, key=lambda a: float(a["varied"][key]))
    x = [a["varied"][key] or zero for a in members]
    styles = (("train", TRAIN), ("val", VAL if place == 0 else ACCENT))
    for name, colour in styles:
        found = [a["final"][f"{name}_{kind}"] for a in members]
        text = {"train": "training", "val": "validation"}[name] + (f", {label}" if label else "")
        y = [f["mean"] for f in found]
        axis.plot(x, y, marker="o", markersize=4, color=colour, label=text, alpha=1.0 if place < 2 else 0.5)
        if all(f["low"] is not None for f in found):
            axis.fill_between(
                x, [f["low"] for f in found], [f["high"] for f in found], color=colour, alpha=0.12
            )


def _decorate(axis: Axes, key: str, kind: str, ticks: list[float], has_zero: bool) -> None:
    """A log axis whose leftmost tick stands for strength 0."""
    axis.set_xscale("log")
    shown = ticks if len(ticks) <= 8 else ticks[:: -(-len(ticks) // 8)]
    labels = ["0" if has_zero and tick == ticks[0] else f"{tick:g}" for tick in shown]
    axis.set_xticks(shown, labels)
    axis.minorticks_off()
    axis.set_xlabel(key)
    axis.set_ylabel(f"final {kind}")
    axis.set_title(f"{'data loss' if kind == 'loss' else kind} against strength")
    axis.legend(frameon=False, fontsize=8)
