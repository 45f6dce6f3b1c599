"""A run's arms as diagnosis takes them: where they ended, how they are ordered, and their histories."""

import json
import re
from collections.abc import Hashable
from typing import Any

import numpy as np
import polars as pl

from ridgeline.diagnosis import Curve, History
from ridgeline.diagnosis.between import ArmEnd, PerExample
from ridgeline.report._stored import Stored

_TERM = re.compile(r"(?P<name>.+?) at (?P<amount>\S+)(?: on (?P<match>.+))?$")
# Settings besides penalties of which more is a stronger regularization.
_AMOUNTS = {
    "model.dropout": "dropout",
    "train.weight_decay": "weight decay",
    "train.label_smoothing": "label smoothing",
}
# What the description of an arm's penalties says already.
_DESCRIBED = ("strength", "penalty", "match", "mode", "name", "factory")
_STOPS = ("train.steps", "train.epochs", "train.early_stopping")
_ROLES = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty", "lr")


def arm_ends(stored: Stored) -> list[ArmEnd]:
    """Every arm in the study's order; one with a diverged seed has no losses, so that it is compared with none."""
    return [_arm_end(stored, label) for label in stored.arms]


def _arm_end(stored: Stored, label: str) -> ArmEnd:
    rows = stored.of_arm(label)
    varied = {key: rows[key][0] for key in stored.varied}
    whole = (rows["status"] == "done").all()
    stops = {} if _scheduled(stored) else {k: v for k, v in varied.items() if k.startswith(_STOPS)}
    amounts = penalty_amounts(rows["regularization"][0], varied)
    amounts |= {name: float(varied[key]) for key, name in _AMOUNTS.items() if varied.get(key)}
    return ArmEnd(
        name=label,
        val=stored.column(label, "final_val_loss") if whole else {},
        train=stored.column(label, "final_train_loss") if whole else {},
        examples=_examples(stored, label) if whole else {},
        amounts=amounts,
        rest=_rest(varied, stops),
        stop=json.dumps(stops, default=str) if stops else "",
        stopped=float(np.mean(rows["steps"].to_numpy())),
    )


def _rest(varied: dict[str, Any], stops: dict[str, Any]) -> dict[str, Hashable]:
    """The settings that put arms on different axes."""
    return {
        key: value
        for key, value in varied.items()
        if key not in _AMOUNTS and key not in stops and not key.startswith("regularization")
    }


def _scheduled(stored: Stored) -> bool:
    """Whether the learning rate follows the number of steps: fewer of them are then another program."""
    schedule = stored.spec.get("train", {}).get("schedule") or "constant"
    name = schedule.get("name", "constant") if isinstance(schedule, dict) else schedule
    return bool(name != "constant") or any(key.startswith("train.schedule") for key in stored.varied)


def penalty_amounts(described: str, varied: dict[str, Any]) -> dict[str, float]:
    """The strength of each penalty by its name, with what else of it varies.

    Example:
        >>> penalty_amounts("L2 at 0.01 + proximal L1 at 0.1 on head.*", {})
        {'L2': 0.01, 'proximal L1 on head.*': 0.1}
    """
    options = [
        f"{key.split('.')[-1]}={value}"
        for key, value in varied.items()
        if key.startswith("regularization.") and key.split(".")[-1] not in _DESCRIBED and value is not None
    ]
    found: dict[str, float] = {}
    for term in described.split(" + ") if described else []:
        parts = _TERM.match(term)
        if parts is None:  # a pattern with a plus sign in it
            continue
        name = parts["name"] + (f" on {parts['match']}" if parts["match"] else "")
        amount = float(parts["amount"])
        if parts["name"].endswith("max norm"):  # its number is a limit: less of it is more
            amount = 1.0 / amount
        found[", ".join([name, *options])] = amount
    return found


def _examples(stored: Stored, label: str) -> dict[int, PerExample]:
    """The validation losses at the last step by seed."""
    frame = stored.examples(label, "val", "loss").sort("seed", "example")
    parts = frame.partition_by("seed", as_dict=True, maintain_order=True)
    return {
        int(seed): PerExample(part["example"].cast(pl.Int64).to_numpy(), part["value"].to_numpy())
        for (seed,), part in parts.items()
    }


def histories(stored: Stored, label: str) -> list[History]:
    """The curves of an arm's trials, one a seed; what was not finite is NaN."""
    found = []
    for trial_id, seed in stored.of_arm(label).select("trial_id", "seed").iter_rows():
        rows = stored.curves.filter(pl.col("trial_id") == trial_id)
        steps = rows["step"].cast(pl.Float64).to_numpy()
        curves = {}
        for role in _ROLES:
            if role in rows.columns and not (role.endswith("accuracy") and rows[role].is_null().all()):
                values = rows[role].cast(pl.Float64).fill_null(float("nan"))
                curves[role] = Curve.of(values.to_numpy(), steps, role)
        found.append(History(curves, label, str(seed)))  # type: ignore[arg-type]  # _ROLES are roles
    return found
