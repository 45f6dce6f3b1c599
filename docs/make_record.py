"""Takes full runs of recipes into docs/experiments, and makes its pages and README's table of claims anew.

    python docs/make_record.py RUN [RUN ...]    # run folders of `ridgeline run NAME --profile full`
    python docs/make_record.py                  # pages and table only, from what is recorded

A recipe's record is docs/experiments/NAME.json and its figures; everything else is made from those. A run that has
not judged its claims, since it was interrupted or has fewer seeds (`--seeds N`), is judged here; its page says on how
many seeds it stands. Images are then looked for as `ridgeline run` does, in RIDGELINE_DATA or the user's cache.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "docs" / "experiments"
BEGIN, END = "<!-- claims: made by docs/make_record.py -->", "<!-- end of claims -->"


def taken(run: Path) -> dict[str, Any]:
    """What the record keeps of a run: claims, bugs, arms, and what made them."""
    claims, tables = run / "claims.json", run / "trials.parquet"
    if not claims.is_file() or (tables.is_file() and claims.stat().st_mtime_ns < tables.stat().st_mtime_ns):
        judge(run)
    judged = json.loads(claims.read_text(encoding="utf-8"))
    if judged["profile"] != "full":
        raise SystemExit(f"{run} is a {judged['profile']} run; the record takes full ones.")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    arms = [
        {
            "arm": arm["arm"],
            "seeds": arm["n_done"],
            "diverged": arm["n_diverged"],
            **{metric: arm["final"].get(metric) for metric in ("train_loss", "val_loss", "val_accuracy")},
        }
        for arm in results["arms"]
    ]
    return {
        **judged,
        "arms": arms,
        "trials": results["n_trials"],
        "unfinished": results["n_unfinished"],
        **asked_of(judged["recipe"]),
        "provenance": results["provenance"],
    }


def asked_of(recipe: str) -> dict[str, Any]:
    """What the recipe asks for in full: its seeds, its specification, and what is to be known of it."""
    from ridgeline.recipes import RECIPES  # pages and table need none of ridgeline

    study = RECIPES[recipe].study("full")
    seeds = len({trial.seed for trial in study.trials()})
    return {
        "planned_seeds": seeds,
        "specification": study.to_yaml(),
        "notes": list(RECIPES[recipe].notes),
    }


def judge(run: Path) -> None:
    """Write the claims of a run in full that has none, or older ones than its trials, and its report."""
    from ridgeline.recipes import RECIPES, write_claims
    from ridgeline.report import Results
    from ridgeline.study import load_study

    results = Results.open(run)
    trials, named = set(results.trials["trial_id"]), load_study(run / "study.yaml").name
    for recipe in RECIPES.values():
        study = recipe.study("full")  # two recipes may train the same programs
        if study.name == named and trials <= {trial.trial_id for trial in study.trials()}:
            if write_claims(recipe, results, "full") is None:
                break
            results.report()
            return
    raise SystemExit(f"{run} is no full run of a recipe with claims; the record takes full ones.")


def keep(run: Path) -> None:
    """Record a run: its numbers, and the figures as its source shows them."""
    record = taken(run)
    RECORD.mkdir(parents=True, exist_ok=True)
    for figure in record["figures"]:
        name = f"{record['recipe']}-{figure['name']}.png"
        (RECORD / name).write_bytes((run / "figures" / f"{figure['name']}.png").read_bytes())
    text = json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True)
    (RECORD / f"{record['recipe']}.json").write_text(text + "\n", encoding="utf-8")


def records() -> list[dict[str, Any]]:
    """Everything recorded, system by system."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in RECORD.glob("*.json")]
    return sorted(found, key=lambda record: (record["system"], record["recipe"]))


def cell(text: object) -> str:
    """Text for a table of Markdown."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def table(head: list[str], rows: list[list[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def number(found: dict[str, Any] | None) -> str:
    """A mean with its interval."""
    if not found or found.get("mean") is None:
        return "–"
    text = f"{found['mean']:.4g}"
    if found.get("low") is None:
        return text
    return f"{text} [{found['low']:.4g}, {found['high']:.4g}]"


def page(record: dict[str, Any]) -> str:
    """The page of one recipe."""
    name, facts = record["recipe"], record["provenance"]
    claims = [
        [f"{r['number']} {r['claim']}", r["published"], r["ours"], r["place"], r["outcome"], r["sentence"]]
        for r in record["claims"]
    ]
    arms = [
        [a["arm"], f"{a['seeds']} ({a['diverged']} diverged)" if a["diverged"] else a["seeds"]]
        + [number(a[metric]) for metric in ("train_loss", "val_loss", "val_accuracy")]
        for a in record["arms"]
    ]
    stands = f"{record['trials']} trials, {record['seeds']} {'seed' if record['seeds'] == 1 else 'seeds'}"
    command = f"ridgeline run {name} --profile full"
    planned = record["planned_seeds"]
    if record["seeds"] < planned:
        stands += f" of the {planned} that the recipe asks for"
        command += "" if record["unfinished"] else f" --seeds {record['seeds']}"
    if record["unfinished"]:
        stands += (
            f"; {record['unfinished']} trials are not finished yet, and the claims stand on those that are"
        )
    parts = [
        f"# {record['system']}: {name}",
        f"Made by `{command}` and `python docs/make_record.py runs/{name}`: {stands}.",
        "Hardware and versions: " + ", ".join(f"{key} {value}" for key, value in sorted(facts.items())) + ".",
        "The test set was watched during training, as published." if record["watched"] else "",
        "## Claims",
        "*Figure*: whether the published number lies where one more run of ours would fall with 95 %; of several "
        "numbers, all of them.",
        table(["claim", "published", "ours", "figure", "outcome", "evidence"], claims),
        "The rules that decide:",
        "\n".join(f"- {row['number']}: {row['rule']}" for row in record["claims"]),
        "## How it was run, and judged" if record["notes"] else "",
        "\n".join(f"- {note}" for note in record["notes"]),
        f"<details><summary>Specification</summary>\n\n```yaml\n{record['specification'].rstrip()}\n```\n\n</details>",
        "## Bugs of the source, as published" if record["bugs"] else "",
        "\n".join(f"- **{b['name']}** ({b['tool']}): {b['said']}" for b in record["bugs"]),
        "## Arms",
        "At the last step, means over seeds with 95 % intervals.",
        table(["arm", "seeds", "training loss", "validation loss", "validation accuracy"], arms),
        "## Figures" if record["figures"] else "",
        "\n\n".join(
            f"![{f['caption']}]({name}-{f['name']}.png)\n\n{f['caption']}" for f in record["figures"]
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def claims_table(found: list[dict[str, Any]]) -> str:
    """The table of all claims, for the README."""
    shown = ("claim", "published", "ours", "place")
    rows = [
        [
            f"[{row['number']}](docs/experiments/{record['recipe']}.md)",
            *(row[key] for key in shown),
            row["outcome"] + seeds_in(record),
        ]
        for record in found
        for row in record["claims"]
    ]
    return table(["claim", "as published", "published", "ours", "figure", "outcome"], rows)


def seeds_in(record: dict[str, Any]) -> str:
    """How many seeds a record stands on, where that is not all of them."""
    done, planned = record["seeds"], record["planned_seeds"]
    return f" ({done} of {planned} seeds)" if done < planned else ""


def with_table(readme: str, found: list[dict[str, Any]]) -> str:
    """README with its table exchanged."""
    made = f"{BEGIN}\n{claims_table(found)}\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: made, readme, flags=re.S)


def main(runs: list[str]) -> None:
    for run in runs:
        keep(Path(run))
    found = records()
    for record in found:
        (RECORD / f"{record['recipe']}.md").write_text(page(record), encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
