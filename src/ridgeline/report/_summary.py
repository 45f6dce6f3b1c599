"""The run in numbers: the one dictionary that page, terminal and results.json show."""

from typing import Any

import polars as pl

from ridgeline.diagnosis.between import stopping
from ridgeline.report._compare import (
    arm_interval,
    balanced_accuracy,
    difference,
    gap,
    last_minus_best,
    median,
    seed_means,
)
from ridgeline.report._judgement import add_judgement
from ridgeline.report._stored import Stored
from ridgeline.statistics import Interval, holm


def summarize(stored: Stored, verdicts: bool = True, resamples: int | None = None) -> dict[str, Any]:
    """Every number of the report.

    Ranking uses validation data alone; the test set is opened for the baseline and the chosen arm only.

    Args:
        verdicts: also judge the arms, which takes most of the time.
        resamples: for the confidence of each verdict; by default as many as so many arms leave time for.
    """
    classes = stored.trials["task"][0] == "classification"
    metrics = ["val_loss", "val_accuracy"] if classes else ["val_loss"]
    arms = [_arm(stored, label, classes) for label in stored.arms]
    sound = [i for i, arm in enumerate(arms) if not arm["n_diverged"] and arm["n_done"]]
    found: dict[str, Any] = {
        "name": stored.spec["name"],
        "task": stored.trials["task"][0],
        "n_arms": len(arms),
        "n_seeds": stored.trials["seed"].n_unique(),
        "n_trials": stored.trials["trial_id"].n_unique(),
        "n_unfinished": _unfinished(stored),
        "n_train": stored.trials["n_train"][0],
        "n_val": stored.trials["n_val"][0],
        "n_test": stored.trials["n_test"][0] if "n_test" in stored.trials.columns else None,
        "null": {
            metric: stored.trials.unique("seed", maintain_order=True)[f"null_{metric}"].mean()
            for metric in metrics
        },
        "class_counts": _class_counts(stored) if classes else None,
        "metrics": metrics,
        "varied": stored.varied,
        "arms": arms,
        "baseline": None,
        "chosen": None,
        "comparisons": 0,
        "test": None,
    }
    if sound:
        _compare(stored, found, sound)
    if verdicts:
        add_judgement(stored, found, resamples)
    return found


def _compare(stored: Stored, found: dict[str, Any], sound: list[int]) -> None:
    """Fill in what compares the arms without a diverged seed."""
    arms, metrics = found["arms"], found["metrics"]
    baseline = _baseline(arms, sound)
    found["baseline"] = baseline
    found["chosen"] = {metric: _best(arms, sound, metric) for metric in metrics}
    _compare_with(stored, found, baseline, sound)
    if found["n_test"]:
        found["test"] = _test(stored, found, baseline)


def number(found: Interval | None) -> dict[str, float | None] | None:
    """An interval as the dictionary holds it."""
    if found is None:
        return None
    return {"mean": found.mean, "low": found.low, "high": found.high}


def _arm(stored: Stored, label: str, classes: bool) -> dict[str, Any]:
    rows = stored.of_arm(label)
    diverged = rows.filter(pl.col("status") == "diverged")
    arm: dict[str, Any] = {
        "arm": label,
        "regularization": rows["regularization"][0],
        "varied": {key: rows[key][0] for key in stored.varied},
        "n_seeds": len(rows),
        "n_done": len(rows) - len(diverged),
        "n_diverged": len(diverged),
        "diverged_at": {str(s): k for s, k in zip(diverged["seed"], diverged["steps"], strict=True)},
        "final": {},
        "median": {},
        "best": None,
        "rise": None,
        "versus": None,
    }
    names = ["train_loss", "val_loss"] + (["train_accuracy", "val_accuracy"] if classes else [])
    if len(diverged):
        arm["median"] = {name: median(seed_means(stored, label, name)) for name in names}
        return arm
    arm["final"] = {name: number(arm_interval(stored, label, name)) for name in names}
    arm["final"]["gap"] = number(gap(stored, label))
    if classes:
        arm["final"]["balanced_accuracy"] = number(balanced_accuracy(stored, label))
    last = (
        stored.curves.join(rows.select("trial_id"), on="trial_id")
        .group_by("trial_id", maintain_order=True)
        .last()
    )
    arm["final"] |= {k: {"mean": last[k].mean()} for k in ("penalty", "weight_norm", "zero_share")}
    arm["best"] = {
        "val_loss": {"mean": rows["best_val_loss"].mean()},
        "step": {"mean": rows["best_step"].mean()},
    }
    steps, curve = stored.mean_curve(label, "val_loss")
    _, train = stored.mean_curve(label, "train_loss")
    stopped = stopping(steps, curve, train, last_minus_best(stored, label))
    arm["rise"] = {
        **(number(stopped.rise.size) or {}),
        "step": stopped.rise.step,
        "lowest": stopped.rise.lowest,
        "train": number(stopped.train),
    }
    return arm


def _unfinished(stored: Stored) -> int:
    wanted = stored.spec.get("seeds", 1)
    return sum(max(wanted - len(stored.of_arm(arm)), 0) for arm in stored.arms)


def _class_counts(stored: Stored) -> dict[str, int]:
    """Validation examples a class, of the first seed."""
    first = stored.trials.filter(pl.col("status") == "done")["trial_id"]
    rows = stored.predictions.filter((pl.col("set") == "val") & (pl.col("when") == "last"))
    if first.is_empty():
        return {}
    counts = rows.filter(pl.col("trial_id") == first[0])["label"].value_counts().sort("label")
    return {str(label): count for label, count in counts.iter_rows()}


def _best(arms: list[dict[str, Any]], sound: list[int], metric: str) -> int:
    sign = -1.0 if metric.endswith("accuracy") else 1.0
    return min(sound, key=lambda i: sign * arms[i]["final"][metric]["mean"])


def _baseline(arms: list[dict[str, Any]], sound: list[int]) -> int:
    """The arm without a penalty, at its own best setting of what else varies; else the first arm.

    Where no arm has a penalty the study asks about something else, and its first arm is the reference.
    """
    plain = [i for i in sound if not arms[i]["regularization"]]
    if not any(arm["regularization"] for arm in arms):
        return sound[0]
    return _best(arms, plain, "val_loss") if plain else sound[0]


def _compare_with(stored: Stored, found: dict[str, Any], baseline: int, sound: list[int]) -> None:
    """Fill in each arm's paired differences to the baseline, p-values adjusted over all arms by Holm."""
    arms, others = found["arms"], [i for i in sound if i != baseline]
    found["comparisons"] = len(others)
    for i in others:
        arms[i]["versus"] = {}
    for metric in found["metrics"]:
        tested = {i: difference(stored, arms[i]["arm"], arms[baseline]["arm"], metric) for i in others}
        with_p = [i for i, delta in tested.items() if delta is not None and delta.p is not None]
        adjusted = dict(zip(with_p, holm([tested[i].p for i in with_p]), strict=True))  # type: ignore[union-attr,misc]  # only those with a p
        for i, delta in tested.items():
            entry = number(delta)
            if entry is not None and delta is not None:
                entry |= {"p_holm": adjusted.get(i), "se_examples": delta.se_examples}
            arms[i]["versus"][metric] = entry


def _test(stored: Stored, found: dict[str, Any], baseline: int) -> dict[str, Any]:
    chosen = found["chosen"]["val_loss"]
    opened = [baseline] if chosen == baseline else [baseline, chosen]
    labels = [found["arms"][i]["arm"] for i in opened]
    metrics = [metric.replace("val_", "test_") for metric in found["metrics"]]
    result: dict[str, Any] = {
        "opened": opened,
        "arms": [{m: number(arm_interval(stored, label, m)) for m in metrics} for label in labels],
        "difference": None,
    }
    if len(opened) == 2:
        result["difference"] = {m: number(difference(stored, labels[1], labels[0], m)) for m in metrics}
    return result
