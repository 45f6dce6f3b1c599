"""The study judged: δ, each arm beside the others, each regularizer, a verdict for every arm; all as numbers."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ridgeline.diagnosis import KINDS, Verdict, diagnose
from ridgeline.diagnosis.between import Difference, Relation, StudyJudgement, judge_study, resamples_for
from ridgeline.report._arms import arm_ends, histories
from ridgeline.report._stored import Stored
from ridgeline.statistics import Interval


def add_judgement(stored: Stored, found: dict[str, Any], resamples: int | None = None) -> None:
    """Fill in delta, and of each arm relation, effect, weaker and verdict.

    Args:
        found: the numbers of the report so far.
        resamples: for the confidence of each verdict; by default as many as so many arms leave time for.
    """
    resamples = resamples_for(len(found["arms"])) if resamples is None else resamples
    judged = None
    if found["baseline"] is not None:
        lowest = min(arm["rise"]["lowest"] for arm in found["arms"] if arm["rise"])
        judged = judge_study(arm_ends(stored), found["baseline"], found["null"]["val_loss"], lowest)
    found["delta"] = None if judged is None else judged.delta
    found["large_gap"] = None if judged is None else judged.large_gap
    for place, arm in enumerate(found["arms"]):
        arm["relation"] = arm["effect"] = arm["weaker"] = None
        if judged is not None:
            arm |= _beside_others(judged, place)
        arm["verdict"] = _verdict(stored, found, judged, place, resamples).as_dict()


def _beside_others(judged: StudyJudgement, place: int) -> dict[str, Any]:
    relation, effect, weaker = judged.relations[place], judged.effects[place], judged.weaker[place]
    return {
        "relation": {
            "kind": relation.kind,
            "against": relation.against,
            "tested": len(relation.tested),
            "confidence": relation.confidence,
            **_difference(relation.difference),
        },
        "effect": effect
        and {
            "kind": effect.kind,
            "reference": effect.reference,
            "plateau": effect.plateau,
            **_difference(effect.difference),
        },
        "weaker": weaker and {"against": weaker[0], **_difference(weaker[1])},
    }


def _difference(found: Difference | None) -> dict[str, Any]:
    return {} if found is None else {"val_loss": _interval(found.val), "train_loss": _interval(found.train)}


def _interval(found: Interval) -> dict[str, float | None]:
    return {"mean": found.mean, "low": found.low, "high": found.high, "p_holm": found.p}


def _verdict(
    stored: Stored, found: dict[str, Any], judged: StudyJudgement | None, place: int, resamples: int
) -> Verdict:
    """One arm's curves judged, and what the other arms add to it."""
    arms = found["arms"]
    null, classes = found["null"]["val_loss"], found["class_counts"] or {}
    weaker = trailing = None
    if judged is not None:
        shown = judged.weaker[place]
        weaker = None if shown is None else histories(stored, arms[shown[0]]["arm"])
        trailing = arms[judged.best]["final"]["train_loss"]["mean"] if judged.trailing[place] else None
    verdict = diagnose(
        histories(stored, arms[place]["arm"]),
        null_loss=null if null is not None and math.isfinite(null) and null > 0 else None,
        n_classes=len(classes) if len(classes) > 1 else None,
        delta=judged.delta if judged is not None and judged.delta > 0 else None,
        best_train_loss=trailing,
        weaker=weaker,
        data_loss_alone=True,
        resamples=resamples,
    )
    if arms[place]["n_diverged"]:
        return _diverged(verdict, arms[place])
    if judged is None:
        return verdict
    if verdict.kind == "well_fitted":  # of one log the advice is to try several arms, which was done
        best = "no arm of this study" if judged.best == place else f"of this study {arms[judged.best]['arm']}"
        has = "has a lower" if judged.best == place else "has the lowest"
        verdict = replace(verdict, advice=(f"nothing to mend; {best} {has} validation loss",))
    return _with_relation(verdict, judged.relations[place], found)


def _diverged(verdict: Verdict, arm: Mapping[str, Any]) -> Verdict:
    """Whatever the seeds that are left show: an arm with a diverged seed has no mean."""
    steps = ", ".join(f"seed {seed} at step {step:,}" for seed, step in arm["diverged_at"].items())
    said = f"{arm['n_diverged']} of {arm['n_seeds']} seeds diverged: {steps}"
    if verdict.kind == "diverged":
        return replace(verdict, evidence=(said, *verdict.evidence), other=None)
    advice = ("lower the learning rate (by 3 to 10 times), warm it up, or clip the gradient norm",)
    return replace(verdict, kind="diverged", confidence=None, evidence=(said,), advice=advice, other=None)


def _with_relation(verdict: Verdict, relation: Relation, found: dict[str, Any]) -> Verdict:
    """What the stronger and earlier-stopped arms show; it decides where the arm's own curve does not."""
    if relation.kind == "untested":
        return verdict
    if relation.against is None or relation.difference is None:
        if verdict.kind != "overfitting":
            return verdict
        tested = len(relation.tested)
        who = "the one stronger or earlier-stopped arm is not"
        if tested > 1:
            who = f"none of the {tested} stronger or earlier-stopped arms is"
        said = f"{who} shown to be better by δ"
        return replace(verdict, evidence=(*verdict.evidence, said))
    other = found["arms"][relation.against]["arm"]
    val, train = relation.difference.val, relation.difference.train
    interval = f"[{-(val.high or 0.0):.3g}, {-(val.low or 0.0):.3g}]"
    said = (
        f"with {other} validation loss is {-val.mean:.3g} lower {interval} and training loss {abs(train.mean):.3g} "
        f"{'higher' if train.mean > 0 else 'lower'}"
    )
    if relation.kind != "overfitting":
        why = {
            "optimization": "better on both, which is optimization, not overfitting",
            "better": "training differs within noise, so whether that is overfitting stays open",
        }[relation.kind]
        return replace(verdict, evidence=(*verdict.evidence, f"{said}: {why}"))
    if KINDS.index(verdict.kind) <= KINDS.index("overfitting"):
        return replace(verdict, evidence=(*verdict.evidence, said))
    return replace(
        verdict,
        kind="overfitting",
        confidence=relation.confidence,
        evidence=(said, *verdict.evidence),
        advice=(f"take {other}, or a strength near it",),
    )


def from_numbers(found: Mapping[str, Any]) -> Verdict:
    """A verdict out of results.json."""
    return Verdict(
        kind=found["kind"],
        metric=found["metric"],
        confidence=found["confidence"],
        evidence=tuple(found["evidence"]),
        advice=tuple(found["advice"]),
        delta=found["delta"],
        features=dict(found["features"]),
        other=None if found["other"] is None else from_numbers(found["other"]),
    )
