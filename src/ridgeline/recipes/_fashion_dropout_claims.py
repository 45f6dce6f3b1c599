"""The claims about dropout, each a function whose docstring is the rule, and the loss that is divided twice."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from ridgeline.diagnosis import Curve, contradictions
from ridgeline.recipes._evidence import (
    accuracy_gap,
    by_seed,
    curve,
    difference,
    last_record,
    means,
    numbers,
    place_of,
    places,
    span,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome
from ridgeline.statistics import decide, holm_intervals

BATCH, WAYS = 256, ("scratch", "concise")
# At epoch 5: the running mean of training accuracy, dropout on; test accuracy, dropout off.
PUBLISHED = {"scratch": (0.848, 0.813), "concise": (0.848, 0.851)}
# The loss that the source prints, from scratch, at epochs 1 and 5.
PRINTED_LOSS = (0.0046, 0.0016)


def arm(way: str, kind: str) -> str:
    """The label of an arm; kind: dropout, or control without it."""
    return f"{way}, {kind}"


def claim_expectation(evidence: Evidence) -> Judgement:
    """p = 0 bit-equal, p = 1 zeros, mean of 10⁶ draws within 4 standard errors"""
    found = evidence.checks
    away = {
        (p, name): (row[name] - 1) / row["standard_error"]
        for p, row in found["means"].items()
        for name in ("ridgeline", "torch")
    }
    kept = all(abs(one) <= 4 for one in away.values())
    right = found["identity"] and found["zeros"] and found["off"] and kept
    facts = (
        ("p = 0 changes no bit", "identity"),
        ("p = 1 gives zeros", "zeros"),
        ("evaluation is off", "off"),
    )
    said = ", ".join(text if found[key] else f"not so: {text}" for text, key in facts)
    shown = ", ".join(f"{one:+.1f} for {name}'s at p = {p}" for (p, name), one in away.items())
    return Judgement(
        "reproduced" if right else "not reproduced",
        f"{said}; the mean of 10⁶ draws lies, in standard errors, {shown} from 1.",
        f"{max(map(abs, away.values())):.1f} standard errors",
        numbers=found,
    )


def claim_counters(evidence: Evidence) -> Judgement:
    """gap(control) − gap(dropout), evaluation mode, δ = .005, Δ test accuracy beside it"""
    results = evidence.results
    pairs = {way: (arm(way, "control"), arm(way, "dropout")) for way in WAYS}
    gaps = {label: accuracy_gap(results, label) for pair in pairs.values() for label in pair}
    cases = [means(gaps[control], gaps[dropout]) for control, dropout in pairs.values()]
    fewest = min(len(seeds) for seeds, _ in cases)
    if not fewest:
        return Judgement("undecided", "no seed ended both with dropout and without.")
    found: dict[str, Any] = {}
    said, outcomes = [], []
    for (way, (control, dropout)), closed in zip(pairs.items(), holm_intervals(cases), strict=True):
        better = difference(results, dropout, control, "test", "correct")
        assert better is not None  # a seed ended in both
        outcomes.append(decide(closed, 0.005))
        without = sum(means(gaps[control])[0]) / len(means(gaps[control])[0])
        said.append(
            f"{way}, dropout closes {span(closed, '+.4f')} of the control's gap of {without:.4f} and changes test "
            f"accuracy by {span(better, '+.4f')} ({outcomes[-1]})"
        )
        found[way] = {
            "closed": numbers(closed),
            "outcome": outcomes[-1],
            "gap_of_control": without,
            "test_accuracy": numbers(better),
        }
    runs = {
        way: [list(last_record(results, arm(way, "dropout"), c).values()) for c in _AS_PUBLISHED]
        for way in WAYS
    }
    figures = [
        (way, published, ours)
        for way in WAYS
        for published, ours in zip(PUBLISHED[way], runs[way], strict=True)
    ]
    found["places"] = [[way, published, place_of(published, ours)] for way, published, ours in figures]
    outside = [
        f"{published:g} {way}" for way, published, ours in figures if place_of(published, ours) == "outside"
    ]
    if outside:
        said.append(f"outside what one of our runs would give: {', '.join(outside)}")
    shown = ", ".join(f"{' / '.join(_short(values) for values in runs[way])} {way}" for way in WAYS)
    outcome: Outcome = outcomes[0] if len(set(outcomes)) == 1 else "undecided"
    place = places((published, ours) for _, published, ours in figures)
    return Judgement(outcome, f"{'; '.join(said)}; {fewest} seeds.", shown, place, found)


_AS_PUBLISHED = ("running_accuracy", "test_all_accuracy")


def _short(values: Sequence[float]) -> str:
    """A mean accuracy as the source writes it.

    Example:
        >>> _short([0.84, 0.85])
        '.845'
    """
    return f"{sum(values) / len(values):.3f}".removeprefix("0") if values else "–"


def running(evidence: Evidence, label: str) -> pl.DataFrame:
    """step, loss, accuracy: the running means, dropout on, over the seeds that ended."""
    done = list(by_seed(evidence.results, label, pl.col("seed")))
    rows = curve(evidence.results, label, "running_loss", "running_accuracy").filter(
        pl.col("seed").is_in(done)
    )
    wanted = pl.col("running_loss").mean().alias("loss"), pl.col("running_accuracy").mean().alias("accuracy")
    return rows.drop_nulls().group_by("step").agg(*wanted).sort("step")


def divided_twice(evidence: Evidence) -> str:
    """What the source's column, the mean loss divided by the batch size, shows of itself."""
    label = arm("scratch", "dropout")
    found = running(evidence, label)
    losses, accuracy = found["loss"].to_list(), Curve.of(found["accuracy"].to_list())
    as_published, mean = (
        contradictions({"train_loss": Curve.of([loss / by for loss in losses]), "train_accuracy": accuracy})
        for by in (BATCH, 1)
    )
    if not as_published or mean:
        return ""
    said = as_published[0]
    first, last = (BATCH * loss for loss in PRINTED_LOSS)
    place = place_of(last, list(last_record(evidence.results, label, "running_loss").values()))
    return (
        f"{said}; times {BATCH} ours goes from {losses[0]:.2f} to {losses[-1]:.2f}, the published {PRINTED_LOSS[0]} … "
        f"{PRINTED_LOSS[1]} from {first:.2f} to {last:.2f}" + (f" ({place})" if place != "–" else "")
    )
