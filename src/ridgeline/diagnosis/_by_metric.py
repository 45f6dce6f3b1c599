"""The verdict by one metric of an arm's runs, and what is left to say without a held-out curve."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ridgeline.diagnosis._advice import advice_of
from ridgeline.diagnosis._align import Aligned, aligned
from ridgeline.diagnosis._confidence import confidence
from ridgeline.diagnosis._evidence import Words, broke, evidence_of, place
from ridgeline.diagnosis._features import Features, features_of
from ridgeline.diagnosis._history import History, Role
from ridgeline.diagnosis._kinds import Kind, Metric, Verdict
from ridgeline.diagnosis._remarks import remarks
from ridgeline.diagnosis._rules import Beside, Broke, kind_of
from ridgeline.diagnosis._together import together


def by_metric(
    runs: Sequence[History],
    metric: Metric,
    null: float | None,
    delta: float | None,
    beside: Beside,
    resamples: int,
    seed: int,
) -> Verdict | None:
    """By one metric; None where no run has a held-out curve of it."""
    found = [one for one in (aligned(run, metric) for run in runs) if one is not None]
    if not found:
        return None
    words = Words(metric, runs[0].unit)
    broken = [(one.broke, one.broke_in) for one in found if one.broke is not None]
    if broken:
        beside = replace(beside, broke=Broke(*min(broken), count=len(broken), runs=len(found)))
    every = [one for one in found if len(one.val)]
    if not every:
        return _broken(metric, beside, words)
    found, left_out = together(every, words)

    def judge(drawn: Sequence[Aligned]) -> Kind:
        return kind_of(features_of(drawn, null, delta, beside.pure), beside)

    features = features_of(found, null, delta, beside.pure)
    kind = kind_of(features, beside)
    return Verdict(
        kind=kind,
        metric=metric,
        confidence=confidence(found, judge, kind, resamples, seed) if resamples else None,
        evidence=(
            *evidence_of(kind, features, beside, words),
            *left_out,
            *remarks(runs, every, features, words, beside.pure),
        ),
        advice=tuple(advice_of(kind, features, beside, place(features, words))),
        delta=features.delta,
        features=_flat(features),
    )


def _flat(f: Features) -> dict[str, float | None]:
    """The features by name; None where one is not defined or finite."""
    train = f.train
    found = {
        "points": float(len(f.steps)),
        "null": f.null,
        "delta": f.delta,
        "last": f.val.last,
        "lowest": f.val.lowest,
        "lowest_step": f.val.lowest_step,
        "rise": f.val.rise,
        "rise_by_chance": f.val.rise_by_chance,
        "noise": f.val.noise,
        "recent_fall": f.val.recent_fall,
        "roughness": f.val.roughness,
        "train_last": None if train is None else train.last,
        "train_rise": None if train is None else train.rise,
        "train_change": f.train_change,
        "gap": f.gap,
        "gap_noise": f.gap_noise,
        "val_half": f.val_half,
        "train_half": f.train_half,
        "skill": f.skill,
        "excess": f.excess,
    }
    return {k: float(v) if v is not None and np.isfinite(v) else None for k, v in found.items()}


def _broken(metric: Metric, beside: Beside, words: Words) -> Verdict:
    """Where no number is finite."""
    assert beside.broke is not None
    return Verdict(
        "diverged",
        metric,
        None,
        (broke(beside.broke, words),),
        ("lower the learning rate, and check the data for NaN first",),
        None,
        {},
    )


def without_held_out(runs: Sequence[History], null: float | None, null_error: float | None) -> Verdict:
    """Where there is no held-out curve: only divergence can be seen, of training judged on itself."""
    metric: Metric = "loss" if any("train_loss" in run.curves for run in runs) else "accuracy"
    held_out: Role = "val_loss" if metric == "loss" else "val_accuracy"
    of: Role = "train_loss" if metric == "loss" else "train_accuracy"
    shown = [
        History({held_out: run.curves[of], of: run.curves[of]}, run.arm, run.run, run.unit)
        for run in runs
        if of in run.curves
    ]
    verdict = by_metric(shown, metric, null if metric == "loss" else null_error, None, Beside(), 0, 0)
    if verdict is not None and verdict.kind == "diverged":
        said = verdict.evidence[0].replace("validation", "training")
        return replace(verdict, evidence=(said, *_notes(runs)), features=_of_training(verdict))
    return Verdict(
        "undecided",
        metric,
        None,
        (
            "there is no held-out curve, and overfitting is what a model loses on data that it was not trained on",
            *_notes(runs),
        ),
        ("log the loss of a validation set, in evaluation mode",),
        None,
        {} if verdict is None else _of_training(verdict),
    )


def _notes(runs: Sequence[History]) -> list[str]:
    return list(dict.fromkeys(note for run in runs for note in run.notes))


def _of_training(verdict: Verdict) -> dict[str, float | None]:
    """What holds of training alone."""
    names = ("points", "null", "delta", "train_last", "train_rise", "train_half")
    return {name: verdict.features[name] for name in names if name in verdict.features}
