"""Whether a run folder belongs to a study, and its tables are those that it was begun with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ridgeline.errors import RidgelineError
from ridgeline.store import read_json
from ridgeline.study._options import data_identity
from ridgeline.study._spec import StudySpec, parse_yaml
from ridgeline.study._trials import Trial


def belongs(out: Path, spec: StudySpec) -> None:
    """Refuse a folder that holds another study, or anything else; more seeds of the same one are welcome.

    Raises:
        RidgelineError: naming the first key that differs.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise RidgelineError(f"{out} is a file, not a folder; choose another --out.")
    kept = out / "study.yaml"
    if not kept.is_file():
        ours = (
            ".lock",
            "plan.json",
            ".plan.json.",
            ".study.yaml.",
            "data.json",
            ".data.json.",
        )  # a kill may leave half-written files
        strangers = [p.name for p in out.iterdir() if not p.name.startswith(ours)]
        if strangers:
            raise RidgelineError(
                f"{out} is no run folder: it holds {sorted(strangers)[0]!r}; choose another --out."
            )
        return
    there = parse_yaml(kept.read_text(), str(kept))
    here = spec.as_dict()
    seeds = there.get("seeds", 1) if isinstance(there, dict) else None
    if isinstance(seeds, int) and seeds > spec.seeds:
        raise RidgelineError(
            f"{out} holds {seeds} seeds, {spec.seeds} are asked for; ask for {seeds} or more, or choose "
            f"another --out."
        )
    difference = _first_difference(there, here, "")
    if difference:
        raise RidgelineError(f"{out} belongs to another study: {difference}; choose another --out.")


def _first_difference(there: Any, here: Any, key: str) -> str:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for name in dict.fromkeys([*there, *here]):
            if name == "seeds" and not key:
                continue
            found = _first_difference(there.get(name), here.get(name), f"{key}.{name}" if key else name)
            if found:
                return found
        return ""
    return "" if there == here else f"{key} is {there!r} there and {here!r} here"


def tables_of(trials: Sequence[Trial]) -> dict[str, str]:
    """The content hash of each table that the trials read, by path."""
    sections = [trial.config.data for trial in trials if "file" in trial.config.data]
    return {section["file"]: data_identity(section)["file"] for section in sections}


def same_tables(out: Path, tables: Mapping[str, str]) -> None:
    """Refuse to mix results of a table with those of its changed self.

    Raises:
        RidgelineError: naming the table.
    """
    for path, digest in (read_json(out / "data.json") or {}).items():
        if tables.get(path, digest) != digest:
            raise RidgelineError(
                f"{path} has changed since {out} was begun; restore it, or choose another --out."
            )
