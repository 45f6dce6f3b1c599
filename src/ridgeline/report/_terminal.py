"""The arms as a table in the terminal."""

from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from ridgeline.report._fill import show


def terminal_table(numbers: dict[str, Any]) -> Table:
    """The arms as a terminal table, 80 columns wide."""
    classes = "val_accuracy" in numbers["metrics"]
    table = Table(
        title=f"{numbers['name']}: last step, means over seeds; Δ paired to the baseline, 95 % interval",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        title_justify="left",
    )
    table.add_column("arm", overflow="fold")  # long labels wrap, so that the numbers stay whole
    columns = ["val\nloss", "Δ", "p\n(Holm)"] + (["val\nacc."] if classes else [])
    for column in [*columns, "gap"]:
        table.add_column(column, justify="right", no_wrap=True)
    for index, arm in enumerate(numbers["arms"]):
        if arm["n_diverged"]:
            table.add_row(
                escape(arm["arm"]), f"{arm['n_diverged']} of {arm['n_seeds']} diverged", style="dim"
            )
            continue
        final, versus = arm["final"], (arm["versus"] or {}).get("val_loss")
        delta, p = _delta(versus)
        cells = [
            show(final["val_loss"]["mean"], ".3f"),
            "baseline" if index == numbers["baseline"] else delta,
            p,
        ]
        if classes:
            cells.append(show(final["val_accuracy"]["mean"], ".3f"))
        cells.append(show(final["gap"]["mean"], ".3f"))
        chosen = numbers["chosen"] and numbers["chosen"]["val_loss"] == index
        table.add_row(escape(arm["arm"]), *cells, style="bold" if chosen else "")
    return table


def _delta(versus: dict[str, float | None] | None) -> tuple[str, str]:
    if versus is None:
        return "–", "–"
    text = show(versus["mean"], "+.3f")
    if versus["low"] is None:
        return text, "–"
    # rich reads [ as markup
    return f"{text} \\[{show(versus['low'], '+.3f')}, {show(versus['high'], '+.3f')}]", show(
        versus["p_holm"], ".2g"
    )
