"""Command audit: which tensors of a person's model would be penalised, and what other conventions would do."""

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from ridgeline.cli._main import app
from ridgeline.cli._named import model_of, optimizer_of, settings_of
from ridgeline.select import Comparison, Note, Row, compare

_HEADS = {"ridgeline": "ours", "weight_decay": "weight\n_decay=", "timm": "timm", "huggingface": "HF"}
_WIDE = 100  # columns of a terminal, from which there is room for the number of elements
_PIPE_WIDTH = 160  # of a line where there is no terminal to measure


@app.command()
def audit(
    model: Annotated[
        str,
        typer.Argument(metavar="MODULE:FACTORY", help="A function, class or instance that gives the model."),
    ],
    optimizer: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FACTORY", help="A function of the model that returns your optimizer."),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="key=value: an argument of the model's factory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show which tensors of your model would be penalised: by us, weight_decay=, timm, Hugging Face."""
    with _stdout_kept():
        net = model_of(model, settings_of(changes or [], "width=64"))
        optim = None if optimizer is None else optimizer_of(optimizer, net)
        found = compare(net, optim)
    if as_json:
        typer.echo(json.dumps({"model": model, **_plain(found)}, indent=2, ensure_ascii=False))
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    _show(console, found, None if optim is None else type(optim).__name__)


@contextlib.contextmanager
def _stdout_kept() -> Iterator[None]:
    """What a person's module prints goes to standard error: standard output is the audit's."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _show(console: Console, found: Comparison, optimizer: str | None) -> None:
    heads = {**_HEADS, **({} if optimizer is None else {"optimizer": f"your\n{optimizer}"})}
    wide = console.width >= _WIDE
    table = Table(
        "",
        Column("parameter", overflow="fold"),
        Column("shape", no_wrap=True),
        *[Column("elements", justify="right", no_wrap=True)] * wide,
        *(Column(head, justify="center", no_wrap=True) for head in heads.values()),
        Column("why ours", min_width=14),
        box=box.SIMPLE_HEAD,
        padding=(0, int(wide), 0, 0),
        pad_edge=False,
    )
    for row in found.rows:
        table.add_row(*map(Text, _cells(row, list(heads), wide)), style=_style(row))
    _say(console, found.summary(), "bold")
    console.print(table)
    computed = "; ↑ by way of the weight computed from it" if any(row.effective for row in found.rows) else ""
    _say(
        console,
        f"✓ decayed; – left{computed}; ≠ they differ, leaving aside weight_decay=, which decays all",
        "dim",
    )
    _list(console, "Where they differ", found.differences() or [Note("none", (), "Nowhere.")])
    if optimizer is not None:
        _list(console, f"Your {optimizer}", found.findings())


def _list(console: Console, title: str, notes: list[Note]) -> None:
    _say(console, f"\n{title}", "bold")
    for note in notes:
        _say(console, f"- {note.sentence}")


def _say(console: Console, sentence: str, style: str = "") -> None:
    wraps = not console.is_terminal  # a sentence stays one line in a file
    console.print(sentence, style=style, markup=False, highlight=False, soft_wrap=wraps)


def _cells(row: Row, keys: list[str], wide: bool) -> list[str]:
    shape = "lazy" if row.shape is None else "×".join(map(str, row.shape)) or "scalar"
    elements = ["" if row.effective or row.shape is None else f"{row.elements:,}"] * wide
    reason = row.ours.reason.partition(":")[0]  # the remedy stands below the table
    why = "; ".join([reason, *(f"tied to {name}" for name in row.tied)])
    return ["≠" * _stands_out(row), row.name, shape, *elements, *(_mark(row, key) for key in keys), why]


def _mark(row: Row, key: str) -> str:
    decision = row.decisions[key]
    if decision.decays is None:
        return "" if row.effective else "↑"
    if key == "optimizer" and decision.decays:
        return f"✓ {decision.reason.rpartition('=')[2]}"
    return "✓" if decision.decays else "–"


def _stands_out(row: Row) -> bool:
    return row.differs(*(key for key in row.decisions if key != "weight_decay"))


def _style(row: Row) -> str:
    return "yellow" if _stands_out(row) else "" if row.ours.decays else "dim"


def _plain(found: Comparison) -> dict[str, Any]:
    """All of it as plain data."""
    rows = [
        {
            "name": row.name,
            "shape": row.shape,
            "elements": row.elements,
            "tied": row.tied,
            "trainable": row.trainable,
            "computed": row.effective,
            "decays": {key: decision.decays for key, decision in row.decisions.items()},
            "reasons": {key: decision.reason for key, decision in row.decisions.items()},
        }
        for row in found.rows
    ]
    groups = [{"weight_decay": decay, "names": names} for decay, names in found.groups or ()]
    return {
        "summary": found.summary(),
        "elements": sum(row.elements for row in found.parameters),
        "penalised_elements": sum(row.elements for row in found.penalised),
        "rows": rows,
        "differences": [vars(note) for note in found.differences()],
        "optimizer": None
        if found.groups is None
        else {"groups": groups, "findings": [vars(note) for note in found.findings()]},
    }
