"""The claims about the line: each a function whose docstring is the rule.

The seed draws the test set too, so the spread over seeds holds the sampling of its examples.
"""

import math
from collections.abc import Callable, Sequence

import polars as pl

from ridgeline.recipes._evidence import (
    by_seed,
    examples,
    last_record,
    numbers,
    paired,
    place_of,
    places,
    span,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome
from ridgeline.statistics import Interval, holm_intervals, interval

WAYS, STRENGTHS, ZERO = ("scratch", "concise"), (0.0, 3.0), "zero-init, λ = 0"
ENOUGH_SEEDS = 5
# ‖w‖₂ at the end, as the source prints it.
PUBLISHED = {("scratch", 0.0): 11.644, ("scratch", 3.0): 0.0406} | {
    ("concise", 0.0): 13.361,
    ("concise", 3.0): 0.0518,
}


def arm(way: str, strength: float) -> str:
    """The label of an arm."""
    return f"{way}, λ = {strength:g}"


def losses(evidence: Evidence, label: str) -> dict[int, tuple[float, float, float]]:
    """Train and test loss at the end, and the test loss of the training mean, by seed."""
    train = by_seed(evidence.results, label, pl.col("final_train_loss"))
    null = by_seed(evidence.results, label, pl.col("null_test_loss"))
    frame = examples(evidence.results, label, "test", "loss").group_by("seed").agg(pl.col("value").mean())
    test = dict(zip(frame["seed"].to_list(), frame["value"].to_list(), strict=True))
    return {seed: (train[seed], test[seed], null[seed]) for seed in train if seed in test}


def scarce(found: Sequence[Sequence[float]]) -> Judgement | None:
    """Undecided, with the reason, where a comparison has fewer seeds than any decision needs."""
    fewest = min(map(len, found))
    if fewest >= ENOUGH_SEEDS:
        return None
    return Judgement("undecided", f"{fewest} seeds ended in every arm; {ENOUGH_SEEDS} are needed.")


def combined(outcomes: Sequence[Outcome]) -> Outcome:
    """Of a claim about both ways: what both say, else undecided."""
    return outcomes[0] if len(set(outcomes)) == 1 else "undecided"


def against(found: Interval, limit: float = 0.0) -> Outcome:
    """reproduced where the interval lies at or above the limit, refuted where it lies below."""
    if found.low is None or found.high is None or found.n_seeds < ENOUGH_SEEDS:
        return "undecided"
    return "reproduced" if found.low >= limit else "refuted" if found.high < limit else "undecided"


def claim_overfits(evidence: Evidence) -> Judgement:
    """train ≤ 1e-3 · null and test ≥ 10 · null in every draw"""
    rows = [losses(evidence, arm(way, 0.0)) for way in WAYS]
    draws = [
        len(evidence.results.trials.filter(pl.col("arm") == arm(way, 0.0))) for way in WAYS
    ]  # those that diverged too
    if no := scarce([list(one) for one in rows]):
        return no
    shown = [sum(t <= 1e-3 * n and v >= 10 * n for t, v, n in one.values()) for one in rows]
    worst = max(t / n for one in rows for t, _, n in one.values())
    least = min(v / n for one in rows for _, v, n in one.values())
    outcome: Outcome = "reproduced" if shown == draws else "undecided" if any(shown) else "refuted"
    counts = " and ".join(f"{k} of {n} draws {way}" for k, n, way in zip(shown, draws, WAYS, strict=True))
    said = (
        f"so it is in {counts}: the train loss is at most {worst:.1e} of that of the training mean on the test set, "
        f"the test loss at least {least:.3g} of it."
    )
    found = {"draws": draws, "shown": shown, "train_over_null": worst, "test_over_null": least}
    return Judgement(outcome, said, f"train ≤ {worst:.0e}, test ≥ {least:.0f} of null", numbers=found)


def _both_ways(
    evidence: Evidence, value: Callable[[str], list[float]]
) -> tuple[list[Interval], Judgement | None]:
    cases = [value(way) for way in WAYS]
    no = scarce(cases)
    return ([] if no else holm_intervals([(one, None) for one in cases])), no


def claim_closes(evidence: Evidence) -> Judgement:
    """1 − gap₃/gap₀: lower(I) ≥ .9 reproduced, upper < .9 refuted"""

    def gap(label: str) -> dict[int, float]:
        return {seed: test - train for seed, (train, test, _) in losses(evidence, label).items()}

    def closed(way: str) -> list[float]:
        with_decay, without = gap(arm(way, 3.0)), gap(arm(way, 0.0))
        return paired(with_decay, without, lambda a, b: (1 - a / b if b else 0.0) - 0.9)

    found, no = _both_ways(evidence, closed)
    if no:
        return no
    outcomes = [against(one) for one in found]
    shares = [_shifted(one, 0.9) for one in found]
    said = " and ".join(f"{span(one, '.4f')} of it {way}" for one, way in zip(shares, WAYS, strict=True))
    return Judgement(
        combined(outcomes),
        f"λ = 3 closes {said}, over {found[0].n_seeds} draws.",
        " / ".join(f"{one.mean:.4f}" for one in shares),
        numbers={
            way: numbers(one) | {"outcome": outcome}
            for way, one, outcome in zip(WAYS, shares, outcomes, strict=True)
        },
    )


def _shifted(found: Interval, by: float) -> Interval:
    """The interval of a quantity that was compared with `by`; its p stays against that."""
    assert found.low is not None
    assert found.high is not None
    parts = (found.n_seeds, found.se_seeds, found.se_examples, found.p)
    return Interval(found.mean + by, found.low + by, found.high + by, *parts)


def claim_learns(evidence: Evidence) -> Judgement:
    """log(test₃ / null): below 0 learns, above 0 hurts, else undecided"""

    def ratio(way: str) -> list[float]:
        return [math.log(test / null) for _, test, null in losses(evidence, arm(way, 3.0)).values()]

    found, no = _both_ways(evidence, ratio)
    if no:
        return no
    outcomes: list[Outcome] = [
        "undecided" if not one.excludes_zero else "reproduced" if one.mean < 0 else "refuted" for one in found
    ]
    words = {"reproduced": "learns", "refuted": "hurts"}
    said = "; ".join(
        f"{way} {words.get(outcome, 'undecided')}, log ratio {span(one)}"
        for way, one, outcome in zip(WAYS, found, outcomes, strict=True)
    )
    return Judgement(
        combined(outcomes),
        f"test loss at λ = 3 against that of the training mean, over {found[0].n_seeds} draws: {said}.",
        " / ".join(f"×{math.exp(one.mean):.3f}" for one in found),
        numbers={
            way: numbers(one) | {"outcome": outcome}
            for way, one, outcome in zip(WAYS, found, outcomes, strict=True)
        },
    )


def claim_remembered(evidence: Evidence) -> Judgement:
    """zero-init, λ = 0: upper(I of test/null) < 1.25"""
    ratios = [test / null for _, test, null in losses(evidence, ZERO).values()]
    if no := scarce([ratios]):
        return no
    found = interval(ratios)
    below = against(interval([1.25 - ratio for ratio in ratios]))
    said = (
        f"from w = 0 and without decay the test loss is {span(found, '.3f')} of that of the training mean, over "
        f"{found.n_seeds} draws."
    )
    return Judgement(below, said, f"×{found.mean:.3f}", numbers=numbers(found))


def claim_same(evidence: Evidence) -> Judgement:
    """same start and order: max relative Δw ≤ 1e-5 in float32, 1e-12 in float64"""
    found = evidence.checks["apart"]
    worst = {kind: max(ends.values()) for kind, ends in found.items()}
    same = worst["float32"] <= 1e-5 and worst["float64"] <= 1e-12
    said = (
        f"the penalty in the loss, torch's weight_decay on the weight alone and our modes loss and coupled end "
        f"{worst['float32']:.0e} of the largest weight apart in float32, {worst['float64']:.0e} in float64."
    )
    ours = f"{worst['float32']:.0e} / {worst['float64']:.0e}"
    return Judgement("reproduced" if same else "not reproduced", said, ours, numbers=found)


def claim_same_as_published(evidence: Evidence) -> Judgement:
    """as published (different starts): log ratio of ‖w‖ inside ± log 1.5 (90 % interval)"""
    norms = {key: last_record(evidence.results, arm(*key), "weight_norm") for key in PUBLISHED}
    ratios = [
        paired(norms["concise", s], norms["scratch", s], lambda a, b: math.log(a / b)) for s in STRENGTHS
    ]
    if no := scarce(ratios):
        return no
    shown = {key: list(norm.values()) for key, norm in norms.items()}
    intervals = [interval(values, level=0.9) for values in ratios]
    outcomes = [_inside(one, math.log(1.5)) for one in intervals]
    # each must lie inside, so one that lies outside refutes
    outcome: Outcome = "refuted" if "refuted" in outcomes else combined(outcomes)
    found: dict[str, object] = {
        f"λ = {s:g}": numbers(one) | {"outcome": part}
        for s, one, part in zip(STRENGTHS, intervals, outcomes, strict=True)
    }
    found["places"] = {arm(*key): place_of(PUBLISHED[key], values) for key, values in shown.items()}
    said = "; ".join(
        f"at λ = {s:g} {span(one)} ({part})"
        for s, one, part in zip(STRENGTHS, intervals, outcomes, strict=True)
    )
    ours = "; ".join(", ".join(f"{_mean(shown[way, s]):.4g}" for s in STRENGTHS) for way in WAYS)
    return Judgement(
        outcome,
        f"log of ‖w‖ concise over ‖w‖ scratch, 90 % interval over {intervals[0].n_seeds} draws: {said}.",
        ours,
        places((published, shown[key]) for key, published in PUBLISHED.items()),
        found,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _inside(found: Interval, limit: float) -> Outcome:
    if found.low is None or found.high is None or found.n_seeds < ENOUGH_SEEDS:
        return "undecided"
    if -limit < found.low and found.high < limit:
        return "reproduced"
    return "refuted" if found.low > limit or found.high < -limit else "undecided"
