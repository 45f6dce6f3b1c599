"""S0's claims about the strength: what too much costs, sparsity, and capacity at equal norm."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from safetensors import safe_open

from ridgeline.recipes._evidence import accuracy_gap, by_seed, last_weights, numbers, paired, span
from ridgeline.recipes._mnist_conv_l2_claims import LAST, STRENGTHS, arm, lacking
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome
from ridgeline.statistics import decide, holm_intervals


def claim_too_strong(evidence: Evidence) -> Judgement:
    """λ ∈ .004·10^{0…4}: best train accuracy − that at the largest λ, δ = .02; rank correlation of λ with gap
    and with train accuracy per seed < 0
    """
    labels = [arm("one-conv", "l2", s) for s in STRENGTHS]
    if no := lacking(evidence, *labels):
        return no
    trains = [by_seed(evidence.results, label, pl.col("final_train_accuracy")) for label in labels]
    seeds = sorted(set.intersection(*map(set, trains)))
    gaps = [_seed_means(accuracy_gap(evidence.results, label)) for label in labels]
    train = [[one[seed] for one in trains] for seed in seeds]
    best = max(range(len(labels)), key=lambda k: sum(row[k] for row in train))
    cases = {
        "train accuracy lost": ([row[best] - row[-1] for row in train], 0.02),
        "rank correlation with gap": ([-_rank_correlation([g[seed] for g in gaps]) for seed in seeds], 0.0),
        "rank correlation with train accuracy": ([-_rank_correlation(row) for row in train], 0.0),
    }
    held = holm_intervals([(values, None) for values, _ in cases.values()])
    parts = [decide(one, margin) for one, (_, margin) in zip(held, cases.values(), strict=True)]
    found = {
        name: numbers(one) | {"outcome": part} for name, one, part in zip(cases, held, parts, strict=True)
    }
    outcome: Outcome = (
        "refuted" if "refuted" in parts else "reproduced" if set(parts) == {"reproduced"} else "undecided"
    )
    said = (
        f"from λ = {STRENGTHS[best]:g} to {STRENGTHS[-1]:g} train accuracy falls by {span(held[0], '.4f')} "
        f"({parts[0]}); the rank correlation of λ with the gap is {-held[1].mean:+.2f} ({parts[1]}), with train "
        f"accuracy {-held[2].mean:+.2f} ({parts[2]})."
    )
    return Judgement(outcome, said, f"−{held[0].mean:.3f}", numbers=found)


def _seed_means(frame: pl.DataFrame) -> dict[int, float]:
    means = frame.group_by("seed").agg(pl.col("value").mean())
    return dict(zip(means["seed"].to_list(), means["value"].to_list(), strict=True))


def _rank_correlation(values: Sequence[float]) -> float:
    """Spearman's of values with their order; 0 where they are all the same."""
    if len(set(values)) < 2:
        return 0.0
    frame = pl.DataFrame({"order": range(len(values)), "value": values})
    return float(frame.select(pl.corr("order", "value", method="spearman")).item())


def last_layer(evidence: Evidence, label: str) -> dict[int, tuple[float, float]]:
    """Share of exact zeros and ‖w‖₂ of the last layer's weights after the last update, by seed."""
    found = {}
    for seed, path in last_weights(evidence.results, label).items():
        with safe_open(path, "pt") as stored:
            w = stored.get_tensor(LAST)
        found[seed] = (float((w == 0).double().mean()), float(w.double().norm()))
    return found


def strongest(evidence: Evidence, kind: str) -> float | None:
    """The largest λ whose mean validation accuracy is within .01 of that of none; None where there is none."""
    none = by_seed(evidence.results, arm("one-conv", "none"), pl.col("final_val_accuracy"))
    within = None
    for strength in STRENGTHS:
        ours = by_seed(evidence.results, arm("one-conv", kind, strength), pl.col("final_val_accuracy"))
        lost = paired(none, ours, lambda a, b: a - b)
        if lost and sum(lost) / len(lost) <= 0.01:
            within = strength
    return within


def claim_gradient_l1_is_sparse(evidence: Evidence) -> Judgement:
    """exact-zero share of the last layer at the strongest λ whose validation accuracy is within .01 of none:
    L1 ≥ .10 and L2 = 0 in all seeds; gradient L1 and proximal L1 judged apart
    """
    return _sparse(evidence, "l1", "gradient L1")


def claim_proximal_l1_is_sparse(evidence: Evidence) -> Judgement:
    """exact-zero share of the last layer at the strongest λ whose validation accuracy is within .01 of none:
    L1 ≥ .10 and L2 = 0 in all seeds; gradient L1 and proximal L1 judged apart
    """
    return _sparse(evidence, "l1-proximal", "proximal L1")


def _sparse(evidence: Evidence, kind: str, words: str) -> Judgement:
    if no := lacking(evidence, arm("one-conv", "none"), arm("one-conv", kind), arm("one-conv", "l2")):
        return no
    strengths = {one: strongest(evidence, one) for one in (kind, "l2")}
    for one, strength in strengths.items():
        if strength is None:
            return Judgement("undecided", f"no λ of {one} keeps validation accuracy within .01 of none.")
    l1, l2 = (
        {seed: zeros for seed, (zeros, _) in last_layer(evidence, arm("one-conv", one, s or 0.0)).items()}
        for one, s in strengths.items()
    )
    holds = paired(l1, l2, lambda a, b: float(a >= 0.10 and b == 0.0))
    outcome: Outcome = "undecided"
    if len(holds) >= 5:
        outcome = "reproduced" if all(holds) else "undecided" if any(holds) else "refuted"
    ours = f"L1 {min(l1.values()):.2f}–{max(l1.values()):.2f}, L2 {max(l2.values()):.2g}"
    said = (
        f"{words} at λ = {strengths[kind]:g} has {min(l1.values()):.3f} to {max(l1.values()):.3f} exact zeros in "
        f"the last layer, L2 at λ = {strengths['l2']:g} at most {max(l2.values()):.2g}, over {len(holds)} seeds."
    )
    found = {"strengths": strengths, "l1": list(l1.values()), "l2": list(l2.values())}
    return Judgement(outcome, said, ours, numbers=found)


def claim_gradient_l1_loses_capacity(evidence: Evidence) -> Judgement:
    """train accuracy L2 − L1 at equal ‖w‖₂ (± 10 %), δ = .01"""
    return _capacity(evidence, "l1")


def claim_proximal_l1_loses_capacity(evidence: Evidence) -> Judgement:
    """train accuracy L2 − L1 at equal ‖w‖₂ (± 10 %), δ = .01"""
    return _capacity(evidence, "l1-proximal")


def matched(evidence: Evidence, kind: str) -> list[tuple[float, float]]:
    """Pairs (λ of L1, λ of L2) whose last layers have equal mean ‖w‖₂, ± 10 %: the nearest for each L1."""
    norms = {}
    for one in (kind, "l2"):
        for strength in STRENGTHS:
            found = [norm for _, norm in last_layer(evidence, arm("one-conv", one, strength)).values()]
            if found and sum(found):
                norms[one, strength] = sum(found) / len(found)
    pairs = []
    for strength in STRENGTHS:
        ours = norms.get((kind, strength))
        others = {s: norm for (one, s), norm in norms.items() if one == "l2"}
        if ours and others:
            nearest = min(others, key=lambda s: abs(others[s] / ours - 1.0))
            if abs(others[nearest] / ours - 1.0) <= 0.1:
                pairs.append((strength, nearest))
    return pairs


def _capacity(evidence: Evidence, kind: str) -> Judgement:
    """Over all pairs of equal norm, Holm: reproduced where some pair is, refuted where every one is."""
    if no := lacking(evidence, arm("one-conv", kind), arm("one-conv", "l2")):
        return no
    cases = {}
    for l1, l2 in matched(evidence, kind):
        l2_accuracy, l1_accuracy = (
            by_seed(evidence.results, arm("one-conv", one, s), pl.col("final_train_accuracy"))
            for one, s in (("l2", l2), (kind, l1))
        )
        lost = paired(l2_accuracy, l1_accuracy, lambda a, b: a - b)
        if lost:
            cases[l1, l2] = lost
    if not cases:
        return Judgement("undecided", f"no λ of {kind} ends with the ‖w‖₂ of an L2 arm, within 10 %.")
    held = dict(zip(cases, holm_intervals([(lost, None) for lost in cases.values()]), strict=True))
    outcomes = {pair: decide(one, 0.01) for pair, one in held.items()}
    some = "undecided" if set(outcomes.values()) != {"refuted"} else "refuted"
    outcome: Any = "reproduced" if "reproduced" in outcomes.values() else some
    top = max(held, key=lambda pair: held[pair].mean)
    said = (
        f"of {len(held)} pair{'s' * (len(held) > 1)} of equal ‖w‖₂ the largest loss is at λ = {top[0]:g} ({kind}) "
        f"beside {top[1]:g} (L2): "
        f"train accuracy L2 − L1 is {span(held[top], '+.4f')}."
    )
    found = {
        f"{kind} {a:g}, l2 {b:g}": numbers(one) | {"outcome": outcomes[a, b]} for (a, b), one in held.items()
    }
    return Judgement(outcome, said, f"{held[top].mean:+.4f}", numbers=found)
