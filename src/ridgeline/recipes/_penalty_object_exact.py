"""S3's exact claims, each a function whose docstring is the rule, and what the tool says of its source's bugs."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from ridgeline.recipes._evidence import by_seed, curve, last_weights, place_of
from ridgeline.recipes._penalty_object_arms import (
    DEAD,
    DECAY,
    LAST,
    NONE,
    OBJECT,
    PRINTED_OBJECT,
    PUBLISHED,
    SHOWN,
    STARTS,
    STRENGTHS,
    all_inside,
    arm,
    at,
    lacking,
    listed,
    printed,
    series,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome


def claim_moves_biases(evidence: Evidence) -> Judgement:
    """one step with zero data gradient: a bias moves, and the audit lists it (exact)"""
    found = evidence.checks["decay"]["published"]
    biases = {name: moved for name, moved in found["moved"].items() if name.endswith("bias") and moved > 0}
    unlisted = biases.keys() - found["listed"]
    said = (
        f"without a data gradient one step of Adam moves {len(biases)} biases, {listed(biases)}, by up to "
        f"{max(biases.values(), default=0.0):.1g}; the audit lists {len(biases) - len(unlisted)} of them."
    )
    outcome: Outcome = "reproduced" if biases and not unlisted else "not reproduced"
    return Judgement(outcome, said, ours=f"{len(biases)} biases move", numbers=found)


def claim_shows_in_the_loss(evidence: Evidence) -> Judgement:
    """printed − data loss: exactly 0; λΣ‖w‖ within 1e-5 relative"""
    if missing := lacking(evidence, *PUBLISHED):
        return missing
    # what the trainer adds to the data loss is the column `penalty`
    added = [series(evidence, arm(DECAY, s), "penalty", 0, 10 * LAST).values() for s in STRENGTHS]
    hidden = max(abs(value) for by_seeds in added for values in by_seeds for value in values)
    errors = []
    for s in STRENGTHS:
        label = arm(OBJECT, s)
        steps = by_seed(evidence.results, label, pl.col("steps"))
        for seed, path in last_weights(evidence.results, label).items():
            value = at(evidence, label, "penalty", int(steps[seed]))[seed]
            errors.append(abs(value / (s * _sum_of_norms(path)) - 1.0))
    shown = {s: list(printed(evidence, arm(OBJECT, s), LAST).values()) for s in STRENGTHS}
    said = (
        f"weight_decay adds at most {hidden:g} to the loss that is printed, the object λΣ‖w‖ of the stored weights "
        f"to a relative {max(errors):.0e} ({len(errors)} trials). The scale of Σ‖w‖ is that of the model, which the "
        f"source does not name."
    )
    return Judgement(
        "reproduced" if hidden == 0 and max(errors) <= 1e-5 else "not reproduced",
        said,
        ours=listed(f"{np.mean(v):,.0f} at {SHOWN[s]}" for s, v in shown.items() if v) or "–",
        place=all_inside({place_of(PRINTED_OBJECT[s], values) for s, values in shown.items()}),
        numbers={"hidden": hidden, "relative": max(errors)},
    )


def _sum_of_norms(path: Path) -> float:
    """Σ‖w‖ of a file of weights, in float64."""
    from safetensors.torch import load_file

    weights = load_file(path)
    return sum(float(torch.linalg.vector_norm(w.double())) for name, w in weights.items() if "weight" in name)


def claim_orders(evidence: Evidence) -> Judgement:
    """refuted if p = 0 has zero gradient and is refused with the reason (exact)"""
    found = evidence.checks["orders"]
    said = (
        f"with p = 0 the object's largest gradient is {found['largest_gradient']:g}, and Norm refuses it: "
        f'"{found["refused"]}" p = 1 is L1, to a relative {found["p1_off_l1"]:.0e}.'
    )
    refuted = found["largest_gradient"] == 0 and "gradient is 0" in found["refused"]
    return Judgement("refuted" if refuted else "not reproduced", said, "gradient 0", numbers=found)


def claim_names(evidence: Evidence) -> Judgement:
    """refuted if a BatchNorm scale is matched by name and excluded by type (exact)"""
    found = evidence.checks["names"]["published"]
    scales = [name for name, (_, why) in found.items() if "BatchNorm" in why]
    reasons = dict.fromkeys(why for _, why in found.values())
    said = f"by name {listed(scales)} are matched; by type they are left: {listed(reasons)}."
    return Judgement("refuted" if scales else "not reproduced", said, f"{len(scales)} scales", numbers=found)


def claim_proportional(evidence: Evidence) -> Judgement:
    """penalty ratio 1e4 : 10 at step 0 = 1,000 within 1e-3 relative"""
    weak, strong = (at(evidence, arm(OBJECT, s), "penalty", 0) for s in STRENGTHS)
    ratios = [strong[seed] / weak[seed] for seed in strong if seed in weak]
    if not ratios:
        return Judgement("undecided", "no seed finished with the object at both strengths.")
    off = max(abs(ratio / 1_000 - 1.0) for ratio in ratios)
    said = (
        f"at step 0 the penalties are {np.mean(ratios):,.3f} to 1, off 1,000 by at most a relative {off:.0e}."
    )
    starts = {s: list(values.values()) for s, values in zip(STRENGTHS, (weak, strong), strict=True)}
    return Judgement(
        "reproduced" if off <= 1e-3 else "not reproduced",
        said,
        ours=listed(f"{np.mean(values):,.0f} at {SHOWN[s]}" for s, values in starts.items()),
        place=all_inside({place_of(STARTS[s], values) for s, values in starts.items()}),
        numbers={"ratios": ratios},
    )


def claim_equals_l2(evidence: Evidence) -> Judgement:
    """refuted: norm not squared (exact)"""
    found = evidence.checks["square"]
    said = (
        f"weights twice as large: a step of the optimizer's decay is {found['optimizer']:.10g} times as long, one of "
        f"the object {found['object']:.10g} times; the object's value is {found['value']:.10g} times as large, where "
        f"a square is 4 times."
    )
    expected = {"optimizer": 2.0, "object": 1.0, "value": 2.0}
    exact = all(abs(found[name] - value) <= 1e-10 for name, value in expected.items())
    return Judgement("refuted" if exact else "not reproduced", said, "not squared", numbers=found)


def dead_order(evidence: Evidence, kind: str = "published") -> str:
    """assert_acting about the object with p = 0, and whether its run differs from that without any."""
    said = str(evidence.checks["orders"][kind])
    if not said:
        return ""
    columns = ("batch_loss", "head_loss", "weight_norm")
    dead, plain = (curve(evidence.results, label, *columns) for label in (arm(DEAD, 10.0), NONE))
    twins = not dead.is_empty() and dead.equals(plain)
    return said + f" Trained with it, no bit changes (seeds: {dead['seed'].n_unique()})." * twins


def saturates(evidence: Evidence, kind: str = "published") -> str:
    """The response test."""
    rows = evidence.checks["response"][kind]
    found = [f"{verdict} at {s}: {said}" for s, (verdict, said) in rows.items() if verdict == "saturated"]
    if not found:
        return ""
    tests = evidence.checks["response"]
    squared = f"coupled {tests['coupled']['10'][0]}, decoupled {tests['corrected']['10'][0]}"
    return f"{'; '.join(found)}. L2 at 10: {squared}."


def takes_scales(evidence: Evidence, kind: str = "published") -> str:
    """The audit of the rule."""
    found = evidence.checks["names"][kind]
    return "; ".join(f"{name}: penalised by {rule}, by type {why}" for name, (rule, why) in found.items())


def decays_biases(evidence: Evidence, kind: str = "published") -> str:
    """The audit's flags on biases, and what the comparison with our default says of the optimizer."""
    found = evidence.checks["decay"][kind]
    biases = [name for name in found["listed"] if name.endswith("bias")]
    if not biases:
        return ""
    return f"{listed(biases)}: {found['flag']}. {' '.join(found['findings'])}"
