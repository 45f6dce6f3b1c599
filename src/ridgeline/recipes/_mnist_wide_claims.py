"""The claims of S2, decided from its stored curves, predictions and weights."""

from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from ridgeline.recipes._evidence import Floats, numbers, paired, place_of, places, span
from ridgeline.recipes._mnist_wide_stored import (
    BLANK,
    ENOUGH,
    L2,
    MATRICES,
    NONE,
    PUBLISHED,
    RATES,
    STRENGTHS,
    TAIL,
    arm,
    blank_pixels,
    checks_of,
    diverged,
    sampled,
    seeds_of,
    sparsities,
    tails,
    tested,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome
from ridgeline.statistics import decide, holm_intervals, interval, von_neumann

Shares: TypeAlias = dict[int, dict[str, dict[str, float]]]  # seed, matrix, "zero" or "small"

# --- 1 ------------------------------------------------------------------------------------------------


def rises_and_falls(accuracy: Floats, loss: Floats) -> bool:
    """Whether a run shows the pattern: the plateau is its longest stretch of checks in a row.

    The loss on the plateau is the median of the 20-check means that lie in it.
    """
    if len(accuracy) < 25:
        return False
    holds = np.median(np.lib.stride_tricks.sliding_window_view(accuracy, 5), axis=1) >= 0.93
    start, length = _longest(holds)
    if length < 20:
        return False
    plateau = slice(start + 2, start + 2 + length)  # a median stands for the middle one of its five
    means = np.lib.stride_tricks.sliding_window_view(loss[plateau], 20).mean(1)
    fell = accuracy[plateau].mean() - accuracy[-10:].mean() >= 0.02
    return bool(fell and loss[-20:].mean() < np.median(means))


def _longest(holds: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[int, int]:
    """Start and length of the longest stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holds.astype(int), [0]])))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    return (int(starts[lengths.argmax()]), int(lengths.max())) if len(lengths) else (0, 0)


def claim_rise_and_fall(evidence: Evidence) -> Judgement:
    """5-check median of validation accuracy ≥ .93 for ≥ 20 checks, mean of the last 10 checks ≥ .02 lower, training
    data loss (20-check mean) lower at the end than on the plateau: yes if in ≥ 3 of 5 seeds, no if in 0, else
    undecided; per lr, for the loss with and without penalty
    """
    found: dict[str, Any] = {}
    for strength in STRENGTHS:
        for lr in RATES:
            label = arm(lr, strength)
            runs = checks_of(evidence.results, label, "val_accuracy", "trained_loss", "penalty").values()
            shown, with_penalty = 0, 0
            for run in runs:
                accuracy, loss = run["val_accuracy"].to_numpy(), run["trained_loss"].to_numpy()
                shown += rises_and_falls(accuracy, loss)
                with_penalty += rises_and_falls(accuracy, loss + run["penalty"].to_numpy())
            found[label] = {"seeds": len(runs)} | {
                name: {"count": count, "answer": _answer(count, len(runs))}
                for name, count in (("data loss", shown), ("with the penalty", with_penalty))
            }
    published = [found[arm(lr, STRENGTHS[0])]["data loss"]["answer"] for lr in RATES]
    outcome: Outcome = "undecided"
    if "yes" in published:
        outcome = "reproduced"
    elif set(published) == {"no"}:
        outcome = "refuted"
    said = [f"{label}: {_counted(one)}" for label, one in found.items()]
    sentence = (
        "seeds that rise, hold and fall while the training data loss falls (or the loss with the penalty): "
        + "; ".join(said)
    )
    yes = sum(answer == "yes" for answer in published)
    return Judgement(outcome, f"{sentence}.", ours=f"yes at {yes} of {len(RATES)} rates", numbers=found)


def _answer(count: int, seeds: int) -> str:
    if seeds < ENOUGH:
        return "undecided"
    return "yes" if count >= 0.6 * seeds else "no" if count == 0 else "undecided"


def _counted(one: dict[str, Any]) -> str:
    data, penalised = one["data loss"], one["with the penalty"]
    beside = "" if penalised["count"] == data["count"] else f" ({penalised['count']})"
    return f"{data['count']}{beside} of {one['seeds']}, {data['answer']}"


# --- 2, 3 -----------------------------------------------------------------------------------------------


def claim_where_each_ends(evidence: Evidence) -> Judgement:
    """mean of the last 50 checks with I; an order only where Holm-paired intervals exclude 0"""
    results = evidence.results
    found: dict[str, Any] = {}
    pairs: list[tuple[float, float, float]] = []
    cases: list[tuple[list[float], Floats | None]] = []
    for strength in STRENGTHS:
        ends = {lr: tails(results, arm(lr, strength)) for lr in RATES}
        sound = [lr for lr in RATES if ends[lr] and not diverged(results, arm(lr, strength))]
        for lr in RATES:
            label = arm(lr, strength)
            values = list(ends[lr].values())
            whole = numbers(interval(values, sampled(results, label))) if lr in sound else {"mean": None}
            found[label] = whole | {"diverged": diverged(results, label)}
        for a, b in combinations(sound, 2):
            deltas = paired(ends[a], ends[b], lambda x, y: x - y)
            if deltas:
                pairs.append((strength, a, b))
                cases.append((deltas, sampled(results, arm(a, strength), arm(b, strength))))
    order: dict[float, list[str]] = {strength: [] for strength in STRENGTHS}
    for (strength, a, b), one in zip(pairs, holm_intervals(cases) if cases else [], strict=True):
        found[f"{arm(a, strength)} − {arm(b, strength)}"] = numbers(one)
        if one.excludes_zero:
            order[strength].append(f"{a:g} above {b:g}" if one.mean > 0 else f"{b:g} above {a:g}")
    said = [
        f"λ = {strength:g}: {', '.join(_end(lr, found[arm(lr, strength)]) for lr in RATES)}; order: "
        f"{', '.join(order[strength]) or 'none stands'}"
        for strength in STRENGTHS
    ]
    sentence = f"validation accuracy, mean of the last {TAIL} checks: {'; '.join(said)}."
    fewest = min(seeds_of(results, arm(lr, strength)) for lr in RATES for strength in STRENGTHS)
    return _question(sentence, fewest, found)


def _end(lr: float, one: dict[str, Any]) -> str:
    if one["mean"] is None:
        return f"lr {lr:g} has no mean ({one['diverged']} diverged)"
    reach = "" if one["low"] is None else f" [{one['low']:.3f}, {one['high']:.3f}]"
    return f"lr {lr:g} ends at {one['mean']:.3f}{reach}"


def claim_what_else(evidence: Evidence) -> Judgement:
    """diverged seeds, steps to .9, ripple = von Neumann standard deviation of the tail"""
    results = evidence.results
    found: dict[str, Any] = {}
    for label in (arm(lr, strength) for strength in STRENGTHS for lr in RATES):
        runs = checks_of(results, label, "val_accuracy").values()
        reached = [run.filter(pl.col("val_accuracy") >= 0.9)["step"].min() for run in runs]
        ripple = [von_neumann(run["val_accuracy"].tail(TAIL).to_numpy()) for run in runs]
        done = [int(step) for step in reached if step is not None]  # type: ignore[arg-type]  # a number
        found[label] = {
            "seeds": len(runs),
            "diverged": diverged(results, label),
            "never at .9": len(reached) - len(done),
            "steps to .9": float(np.median(done)) if done else None,
            "ripple": float(np.mean(ripple)) if ripple else None,
            "test accuracy": tested(results, label),
        }
    said = [f"{label}: {_else(one)}" for label, one in found.items()]
    sentence = f"steps to .9 (median) and ripple of the last {TAIL} checks: {'; '.join(said)}."
    return _question(sentence, min(one["seeds"] for one in found.values()), found)


def _else(one: dict[str, Any]) -> str:
    if not one["seeds"]:
        return "no seed yet"
    steps = "never at .9" if one["steps to .9"] is None else f"{one['steps to .9']:.0f} steps"
    if one["steps to .9"] is not None and one["never at .9"]:
        steps += f", {one['never at .9']} of {one['seeds']} never"
    return f"{steps}, ripple {one['ripple']:.4f}, {one['diverged']} diverged"


def _question(sentence: str, fewest: int, found: dict[str, Any]) -> Judgement:
    """The source asks this without an answer of its own, so that nothing is there to be reproduced."""
    if fewest < ENOUGH:
        return Judgement("undecided", f"an arm has only {fewest} seeds; {sentence}", numbers=found)
    return Judgement("not judged", f"a question without a published answer; {sentence}", numbers=found)


# --- 4, 5 -----------------------------------------------------------------------------------------------


def claim_l2_improves(evidence: Evidence) -> Judgement:
    """validation accuracy, mean of the last 50 checks, L2 − none at lr 5e-3, 10 seeds, δ = .01; .88 / .92 by the
    figure rule
    """
    results = evidence.results
    deltas = paired(tails(results, L2), tails(results, NONE), lambda a, b: a - b)
    if not deltas:
        return Judgement("undecided", "no seed has finished in both arms.")
    one = interval(deltas, sampled(results, L2, NONE))
    lost = diverged(results, L2) + diverged(results, NONE)
    tests = {label: tested(results, label) for label in (NONE, L2)}
    means = {label: sum(values) / len(values) for label, values in tests.items()}
    figures = {label: place_of(PUBLISHED[label], tests[label]) for label in (NONE, L2)}
    gone = f", {lost} diverged" if lost else ""
    sentence = (
        f"L2 − none is {span(one)} over {one.n_seeds} seeds{gone}; test accuracy {means[NONE]:.3f} without (.88 is "
        f"{figures[NONE]}) and {means[L2]:.3f} with L2 (.92 is {figures[L2]})."
    )
    place = places((PUBLISHED[label], tests[label]) for label in (NONE, L2))
    ours = f"{means[NONE]:.3f} / {means[L2]:.3f}"
    found = numbers(one) | {"test accuracy": tests, "places": figures}
    # the seeds that are left were chosen by their outcome: an arm with a diverged seed has no mean
    outcome: Outcome = "undecided" if lost else decide(one, 0.01)
    return Judgement(outcome, sentence, ours=ours, place=place, numbers=found)


def claim_sparse(evidence: Evidence) -> Judgement:
    """exact zeros per matrix: all seeds ≥ 1 % in some matrix reproduced; all < 0.1 % refuted ("small, not sparse");
    beside it the share below 1e-3 of the largest, paired with none, W1's always-blank pixels apart
    """
    blank = blank_pixels(evidence.data_dir)
    l2, none = (sparsities(evidence.results, label, blank) for label in (L2, NONE))
    if len(l2) < ENOUGH:
        return Judgement("undecided", f"weights of only {len(l2)} seeds with L2 are stored; {ENOUGH} decide.")
    # a matrix is all of its entries; only the numbers beside the outcome take W1's blank pixels apart
    most = _most(sparsities(evidence.results, L2, None))
    outcome, without = _sparse(most), _sparse(_most(l2))
    names = [*MATRICES, *([] if blank is None else [BLANK])]
    found = _shares(names, l2, none)
    said = [f"{name} {one['zero']:.2%} and {one['small']:.2%}{_beside(one)}" for name, one in found.items()]
    apart = (
        "no training images are here to tell W1's blank pixels apart"
        if blank is None
        else f"{int(blank.sum())} of 784 pixels are blank in every training image"
    )
    sentence = (
        f"exact zeros, and entries below 1e-3 of the largest, with L2 (in brackets L2 − none), over {len(l2)} "
        f"seeds: {', '.join(said)}; {apart}"
        + (f", without which it is {without}" if without != outcome else "")
    )
    ours = f"{100 * min(most):.2g} to {100 * max(most):.2g} % exact zeros"
    return Judgement(outcome, f"{sentence}.", ours=ours, numbers=found)


def _most(shares: Shares) -> list[float]:
    """The largest share of exact zeros in a matrix, by seed."""
    return [max(parts[name]["zero"] for name in MATRICES) for parts in shares.values()]


def _sparse(most: list[float]) -> Outcome:
    return "reproduced" if min(most) >= 0.01 else "refuted" if max(most) < 0.001 else "undecided"


def _shares(names: list[str], l2: Shares, none: Shares) -> dict[str, Any]:
    """Mean shares of each matrix with L2, and its paired difference to none, by Holm over the matrices."""
    both = [seed for seed in l2 if seed in none]
    cases = [([l2[s][name]["small"] - none[s][name]["small"] for s in both], None) for name in names]
    found: dict[str, Any] = {}
    for name, one in zip(names, holm_intervals(cases) if both else [None] * len(names), strict=True):
        means = {of: sum(parts[name][of] for parts in l2.values()) / len(l2) for of in ("zero", "small")}
        found[name] = means | {"small, L2 − none": None if one is None else numbers(one)}
    return found


def _beside(one: dict[str, Any]) -> str:
    delta = one["small, L2 − none"]
    return "" if delta is None else f" [{delta['mean']:+.2%}]"
