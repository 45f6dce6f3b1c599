"""The page: one self-contained HTML file, its figures as PNG beside it, and results.json."""

from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from ridgeline.report import figures
from ridgeline.report._answer import answer, details, headline
from ridgeline.report._fill import data, look_up, marked, plain
from ridgeline.report._notes import notes
from ridgeline.report._paragraph import paragraph
from ridgeline.report._stored import Stored
from ridgeline.report._summary import summarize
from ridgeline.store import read_json, write_atomically, write_json

# What the results name of the plan; plan.json has the rest.
_PLAN = ("engine", "device", "processes", "threads", "products", "reason")


def write_report(run: Path) -> dict[str, Any]:
    """Write report.html, results.json and figures/ from the stored tables; returns the results.

    Everything is computed before anything is written.
    """
    stored = Stored(run)
    numbers = summarize(stored)
    drawn = [] if numbers["baseline"] is None else _figures(stored, numbers)
    page = _render(stored, numbers, drawn)
    results = {
        **numbers,
        "answer": answer(numbers),
        "notes": [plain(note, numbers) for note in notes(numbers, stored.spec)],
        "provenance": stored.provenance,
        "plan": {key: stored.plan.get(key) for key in _PLAN},
    }
    (run / "figures").mkdir(exist_ok=True)
    for name, figure, _ in drawn:
        write_atomically(run / "figures" / f"{name}.png", figures.as_png(figure))
    write_json(run / "results.json", results)
    write_atomically(run / "report.html", page.encode())
    return results


def _figures(stored: Stored, numbers: dict[str, Any]) -> list[tuple[str, Figure, str]]:
    found = [
        (
            "curves",
            figures.loss_figure(stored, numbers),
            "Data loss in evaluation mode: the baseline and the arms chosen by validation loss and accuracy. "
            "Thick: mean over seeds; thin: each seed.",
        ),
        (
            "response",
            figures.response_figure(numbers),
            "What the strength does at the last step; bands are 95 % intervals.",
        ),
        (
            "penalty",
            figures.penalty_figure(stored, numbers),
            "The penalty itself, apart from the data loss.",
        ),
    ]
    return [(name, figure, caption) for name, figure, caption in found if figure is not None]


def _render(stored: Stored, numbers: dict[str, Any], drawn: list[tuple[str, Figure, str]]) -> str:
    environment = Environment(
        loader=PackageLoader("ridgeline.report", "."), autoescape=True, undefined=StrictUndefined
    )
    audited = _audited(numbers)
    hashes = [c for c in stored.trials.columns if c.endswith("_hash")]
    return environment.get_template("page.html.j2").render(
        numbers=numbers,
        accuracy="val_accuracy" in numbers["metrics"],
        n=lambda key, form: Markup(data(numbers, key, form)),
        find=lambda key: look_up(numbers, key),
        headline=Markup(marked(headline(numbers), numbers)),
        paragraph=Markup(" ".join(marked(s, numbers) for s in paragraph(numbers))),  # marked escapes the text
        details=[Markup(marked(s, numbers)) for s in details(numbers)],
        notes=[Markup(marked(s, numbers)) for s in notes(numbers, stored.spec)],
        own_best=_own_best(numbers),
        figures=[
            *_published(stored.run),
            *({"name": n, "svg": figures.as_svg(f), "caption": c} for n, f, c in drawn),
        ],
        audit=_audit_rows(stored, audited),
        audit_arm=audited,
        provenance=stored.provenance,
        plan=stored.plan,
        hash_columns=hashes,
        hashes=stored.trials.unique("seed", maintain_order=True).select("seed", *hashes).to_dicts(),
        specification=(stored.run / "study.yaml").read_text(),
        judged=read_json(stored.run / "claims.json"),
    )


def _published(run: Path) -> list[dict[str, str]]:
    """The figures that a recipe drew as its source shows them."""
    listed = (read_json(run / "claims.json") or {}).get("figures", [])
    folder = run / "figures"
    return [{**figure, "svg": (folder / f"{figure['name']}.svg").read_text()} for figure in listed]


def _audited(numbers: dict[str, Any]) -> str | None:
    """The arm whose audit is shown: the chosen one if it has a penalty, else the first that has."""
    chosen = [] if numbers["chosen"] is None else [numbers["arms"][numbers["chosen"]["val_loss"]]]
    return next((a["arm"] for a in [*chosen, *numbers["arms"]] if a["regularization"]), None)


def _audit_rows(stored: Stored, arm: str | None) -> list[dict[str, Any]]:
    if arm is None:
        return []
    first = stored.of_arm(arm)["trial_id"][0]
    return stored.audit.filter(pl.col("trial_id") == first).to_dicts()


def _own_best(numbers: dict[str, Any]) -> list[dict[str, Any]]:
    """Where learning rates vary: for each setting of the other keys, the arm with the lowest loss."""
    if "train.lr" not in numbers["varied"] or len(numbers["varied"]) < 2:
        return []
    best: dict[str, int] = {}
    for index, arm in enumerate(numbers["arms"]):
        if not arm["final"]:
            continue
        setting = ", ".join(f"{k} = {v}" for k, v in arm["varied"].items() if k != "train.lr")
        rival = best.get(setting)
        if rival is None or _loss(arm) < _loss(numbers["arms"][rival]):
            best[setting] = index
    arms = numbers["arms"]
    return [{"setting": s, "index": i, "lr": arms[i]["varied"]["train.lr"]} for s, i in best.items()]


def _loss(arm: dict[str, Any]) -> float:
    value: float = arm["final"]["val_loss"]["mean"]
    return value
