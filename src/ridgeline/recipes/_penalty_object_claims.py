"""S3's claims that its trials decide, each a function whose docstring is the rule."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from ridgeline.recipes._evidence import curve, examples, numbers, over_examples, place_of, span
from ridgeline.recipes._penalty_object_arms import (
    BY_NAME,
    DECAY,
    DECOUPLED,
    FALLS,
    HEAD,
    L2,
    LAST,
    LONG,
    NONE,
    OBJECT,
    PRINTED,
    PUBLISHED,
    SHOWN,
    STRENGTHS,
    Floats,
    all_inside,
    arm,
    at,
    lacking,
    listed,
    long,
    printed,
    series,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome
from ridgeline.statistics import decide, holm_intervals, interval, rise, von_neumann


def _all_of(outcomes: Iterable[Outcome]) -> Outcome:
    """A claim of several parts: reproduced where each is, refuted where one is."""
    found = set(outcomes)
    if found == {"reproduced"}:
        return "reproduced"
    return "refuted" if "refuted" in found else "undecided"


def claim_slower(evidence: Evidence) -> Judgement:
    """accuracy on a fixed 1,000 images, mean of steps 10–140, none − arm, δ = .02; log data loss likewise"""
    if missing := lacking(evidence, NONE, *PUBLISHED):
        return missing
    cases = [
        case for label in PUBLISHED for case in (_accuracy_lost(evidence, label), _loss_kept(evidence, label))
    ]
    if not all(by_seeds for by_seeds, _ in cases):
        return Judgement("undecided", "some arm has no record of steps 10–140.")
    intervals = holm_intervals(cases)
    found, said = {}, []
    for label, accuracy, loss in zip(PUBLISHED, intervals[::2], intervals[1::2], strict=True):
        found[label] = {"accuracy": numbers(accuracy), "log_loss": numbers(loss)}
        said.append(f"{label} {span(accuracy)} in accuracy, {span(loss)} in log loss")
    shown = {label: list(printed(evidence, label, LAST).values()) for label in PRINTED}
    return Judgement(
        _all_of(decide(one, 0.02) for one in intervals),
        f"worse than none, mean of steps 10–{LAST}: {'; '.join(said)} (Holm over {len(cases)}).",
        ours=listed(f"{np.mean(values):.2f}" for values in shown.values() if values),
        place=all_inside({place_of(PRINTED[label], values) for label, values in shown.items()}),
        numbers=found,
    )


def _accuracy_lost(evidence: Evidence, label: str) -> tuple[list[float], Floats | None]:
    """none − arm by seed, and by example.

    Examples are stored for the last step alone, whose differences spread wider than their means over steps.
    """
    plain, theirs = (series(evidence, name, "head_accuracy", 10, LAST) for name in (NONE, label))
    lost = _head(evidence, label, "correct").with_columns(value=pl.col("plain") - pl.col("value"))
    return [float(np.mean(plain[s]) - np.mean(theirs[s])) for s in theirs if s in plain], _by_example(lost)


def _loss_kept(evidence: Evidence, label: str) -> tuple[list[float], Floats | None]:
    """log loss of the arm − that of none by seed, and by example what each adds to the logarithms of the means."""
    plain, theirs = (series(evidence, name, "head_loss", 10, LAST) for name in (NONE, label))
    kept = [float(np.mean(np.log(theirs[s])) - np.mean(np.log(plain[s]))) for s in theirs if s in plain]
    share, its = (pl.col(c) / pl.col(c).mean().over("seed") for c in ("value", "plain"))
    return kept, _by_example(_head(evidence, label, "loss").with_columns(value=share - its))


def _head(evidence: Evidence, label: str, of: str) -> pl.DataFrame:
    """seed, example, value, plain: the fixed images after the last update, in an arm and without penalty."""
    theirs, plain = (examples(evidence.results, name, "val", of) for name in (label, NONE))
    both = theirs.join(plain.rename({"value": "plain"}), on=["seed", "example"])
    return both.filter(pl.col("example") < HEAD)


def _by_example(frame: pl.DataFrame) -> Floats | None:
    """The mean over seeds of each example's value; None without examples."""
    means = frame.group_by("example").agg(pl.col("value").mean()).sort("example")["value"]
    return None if means.is_empty() else means.to_numpy()


def claim_smoother(evidence: Evidence) -> Judgement:
    """log ratio of von Neumann standard deviations of the *fixed-set* loss, steps 20–140, δ = 10 % (batch accuracy
    is inadmissible: its published jitter is binomial)
    """
    if missing := lacking(evidence, NONE, *PUBLISHED):
        return missing
    cases: dict[str, list[float]] = {}
    for kind in (DECAY, OBJECT):
        labels = [NONE, *(arm(kind, s) for s in STRENGTHS)]
        for before, after in pairwise(labels):
            rough, smooth = _jitter(evidence, before), _jitter(evidence, after)
            cases[f"{before} to {after}"] = [math.log(rough[s] / smooth[s]) for s in smooth if s in rough]
    if not all(cases.values()):
        return Judgement(
            "undecided", "in some arm the loss on the fixed images stands still over steps 20–140."
        )
    intervals = holm_intervals([(values, None) for values in cases.values()])
    outcomes = [decide(one, -math.log(0.9)) for one in intervals]
    ratios = [math.exp(one.mean) for one in intervals]
    said = [f"{name} by {r:.2g} ({o})" for name, r, o in zip(cases, ratios, outcomes, strict=True)]
    ends = {label: list(at(evidence, label, "head_accuracy", LAST).values()) for label in (NONE, *PUBLISHED)}
    learned = [f"{np.mean(values):.2f} with {label}" for label, values in ends.items() if values]
    return Judgement(
        _all_of(outcomes),
        f"the jitter of the loss is divided, {'; '.join(said)}. What hardly learns is smooth too: the accuracy at step "
        f"{LAST} is {listed(learned)}.",
        ours=listed(f"÷ {r:.2g}" for r in ratios),
        numbers={name: numbers(one) for name, one in zip(cases, intervals, strict=True)},
    )


def _jitter(evidence: Evidence, label: str) -> dict[int, float]:
    """The von Neumann deviation of the loss on the fixed images, by seed, where that loss moves at all."""
    found = {seed: von_neumann(v) for seed, v in series(evidence, label, "head_loss", 20, LAST).items()}
    return {seed: value for seed, value in found.items() if value > 0}


def claim_biases_underfit(evidence: Evidence) -> Judgement:
    """accuracy(weights only) − accuracy(weights and biases), λ = 10, δ = .05"""
    everything, weights, named = arm(DECAY, 10.0), arm(L2, 10.0), arm(BY_NAME, 10.0)
    if missing := lacking(evidence, everything, weights):
        return missing
    theirs = examples(evidence.results, everything, "val", "correct")
    found = over_examples(examples(evidence.results, weights, "val", "correct"), theirs)
    ends = theirs["value"].to_numpy().mean()
    said = (
        f"with all parameters decayed the validation accuracy ends at {ends:.3f}; sparing biases and BatchNorm scales "
        f"changes it by {span(found)}"
    )
    kept = {"weights only": numbers(found)}
    if not lacking(evidence, everything, named):
        alone = over_examples(examples(evidence.results, named, "val", "correct"), theirs)
        kept["biases alone spared"] = numbers(alone)
        said += f", sparing biases (and BatchNorm's) but decaying the scales by {span(alone)}"
    return Judgement(decide(found, 0.05), f"{said}.", span(found), numbers=kept)


def claim_saturation(evidence: Evidence) -> Judgement:
    """ratio of the falls of Σ‖w‖ inside [.9, 1.1] (90 % interval); the tool's response test says `saturated`"""
    if missing := lacking(evidence, *(arm(OBJECT, s) for s in STRENGTHS)):
        return missing
    weak, strong = (_falls(evidence, s) for s in STRENGTHS)
    seeds = [seed for seed in strong if weak.get(seed, 0.0) > 0]
    if not seeds:
        return Judgement("undecided", f"no seed has a fall of Σ‖w‖ from step 0 to {LAST} at both strengths.")
    found = interval([strong[s] / weak[s] for s in seeds], level=0.9)
    verdicts = {s: verdict for s, (verdict, _) in evidence.checks["response"]["published"].items()}
    outcome: Outcome = "undecided"
    if found.low is not None and found.high is not None and found.n_seeds >= 5:
        if found.low > 1.1 or found.high < 0.9:
            outcome = "refuted"
        elif found.low >= 0.9 and found.high <= 1.1 and set(verdicts.values()) == {"saturated"}:
            outcome = "reproduced"
    # the source's two runs began from different draws (Σ‖w‖ of 156 and 157), so its figure is one of two seeds
    apart = [strong[s] / weak[t] for s, t in zip(seeds, [*seeds[1:], seeds[0]], strict=True)]
    falls = [float(np.mean([fall[s] for s in seeds])) for fall in (weak, strong)]
    said = (
        f"Σ‖w‖ falls by {falls[0]:.2f} at 10 and by {falls[1]:.2f} at 1e4 within {LAST} steps, a ratio of "
        f"{span(found, '.3f')} (90 %); the response test says {listed(f'{v} at {s}' for s, v in verdicts.items())}."
    )
    return Judgement(
        outcome,
        said,
        ours=f"by {falls[0]:.1f} at 10, by {falls[1]:.1f} at 1e4",
        place=place_of(FALLS[1] / FALLS[0], apart),
        numbers=numbers(found) | {"falls": falls, "response": verdicts},
    )


def _falls(evidence: Evidence, strength: float) -> dict[int, float]:
    """How far Σ‖w‖ falls from the start to the source's last record, by seed."""
    start, end = (at(evidence, arm(OBJECT, strength), "penalty", step) for step in (0, LAST))
    return {seed: (start[seed] - end[seed]) / strength for seed in end}


def claim_solves_overfitting(evidence: Evidence) -> Judgement:
    """validation data loss, none − arm, steps extended until none overfits; else undecided"""
    plain, objects = long(NONE), [long(arm(OBJECT, s)) for s in STRENGTHS]
    if missing := lacking(evidence, plain, *objects):
        return missing
    last, best = (examples(evidence.results, plain, "val", "loss", when) for when in ("last", "best"))
    rows = curve(evidence.results, plain, "val_loss").filter(
        pl.col("seed").is_in(last["seed"].unique().to_list())
    )
    wide = rows.pivot("seed", index="step", values="val_loss").drop_nulls().sort("step")
    values = wide.drop("step").to_numpy().T
    found = rise(wide["step"].to_numpy(), values, _by_example(_minus(last, best)))
    over = (
        f"without penalty the validation loss is lowest, {found.lowest:.3f}, at step {found.step:,} and ends at "
        f"{LONG:,} {span(found.size)} above that"
    )
    kept: dict[str, Any] = {"rise": numbers(found.size)}
    if found.size.low is None or found.size.low <= 0:
        return Judgement("undecided", f"{over}: no overfitting that could be solved.", numbers=kept)
    deltas = [_minus(last, examples(evidence.results, label, "val", "loss")) for label in objects]
    intervals = holm_intervals([(_by_seed(delta), _by_example(delta)) for delta in deltas])
    outcomes: Sequence[Outcome] = [decide(one) for one in intervals]
    said = [f"{span(one)} for the object at {SHOWN[s]}" for s, one in zip(STRENGTHS, intervals, strict=True)]
    kept |= {label: numbers(one) for label, one in zip(objects, intervals, strict=True)}
    accuracy = examples(evidence.results, objects[0], "val", "correct")["value"].to_numpy().mean()
    said[0] += f" (accuracy {accuracy:.3f})"
    decoupled = long(arm(DECOUPLED, 10.0))
    if not lacking(evidence, plain, decoupled):
        acting = over_examples(last, examples(evidence.results, decoupled, "val", "loss"))
        kept[decoupled] = numbers(acting)
        said.append(f"{span(acting)} for decoupled L2 at 10")
    return Judgement(
        "reproduced"
        if "reproduced" in outcomes
        else "refuted"
        if set(outcomes) == {"refuted"}
        else "undecided",
        f"{over}; none − arm is there {listed(said)}.",
        ours=listed(f"{one.mean:+.2f} at {SHOWN[s]}" for s, one in zip(STRENGTHS, intervals, strict=True)),
        numbers=kept,
    )


def _minus(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """seed, example, value: a − b."""
    both = a.join(b, on=["seed", "example"], suffix="_b")
    return both.select("seed", "example", value=pl.col("value") - pl.col("value_b"))


def _by_seed(frame: pl.DataFrame) -> list[float]:
    found: list[float] = frame.group_by("seed").agg(pl.col("value").mean()).sort("seed")["value"].to_list()
    return found
