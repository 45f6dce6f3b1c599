"""diagnose(): from a history of any kind to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

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
from ridgeline.diagnosis.readers import read
from ridgeline.errors import RidgelineError


def diagnose(
    history: Any,
    *,
    columns: Mapping[Role, str] | None = None,
    null_loss: float | None = None,
    n_classes: int | None = None,
    target: float | None = None,
    delta: float | None = None,
    best_train_loss: float | None = None,
    weaker: Any = None,
    data_loss_alone: bool = False,
    resamples: int = 200,
    seed: int = 0,
) -> Verdict:
    """Is it overfitting, underfitting, over-regularized, and can we be sure?

    Kinds, tried in this order: "diverged", "undertrained", "overfitting", "underfitting", "over_regularized",
    "well_fitted", "undecided"; their rules and thresholds: docs/verdicts.md. The loss is judged where there is
    one, and accuracy beside it (`.other`).

    Args:
        history: one arm: what `ridgeline.diagnosis.read` takes (a path, dict, frame, Keras History), a
            History, or several of them, its seeds.
        columns: by role ("train_loss", "val_loss", "train_accuracy", "val_accuracy"), where names are unusual.
        null_loss: the loss of a predictor that knows nothing; by default log(n_classes), else the start of the
            held-out curve.
        n_classes: ≥ 2; also gives accuracy its null, 1/n_classes.
        target: the training skill wanted, 1 − loss/null loss, in (0, 1].
        delta: the least difference in loss worth a word; by default 2 % of (null − best loss).
        best_train_loss: the lowest training loss of the study's arms.
        weaker: the history of an arm with a weaker penalty.
        data_loss_alone: the training loss is known to hold no penalty and to be measured as validation is, so
            that the two may be compared wherever training lies.
        resamples: ≥ 0, for the confidence; 0 leaves it out.
        seed: of the resampling.

    Raises:
        RidgelineError: for a history that cannot be read, or holds several arms.

    Example:
        >>> import ridgeline
        >>> train = [2.0 * 0.7**k for k in range(20)]
        >>> val = [0.5 + 1.5 * 0.6**k + 0.02 * k for k in range(20)]
        >>> verdict = ridgeline.diagnose({"loss": train, "val_loss": val})
        >>> verdict.kind
        'overfitting'
        >>> print(verdict.evidence[0])
        validation loss rose 0.175 ± ... above its minimum at row 8 while training loss fell from 0.1647 to 0.003257
    """
    _check(null_loss, n_classes, target, delta, resamples)
    runs = read(history, columns=columns)
    _one_arm(runs)
    beside = Beside(target=target, best_train=best_train_loss, penalty=_penalty_share(runs))
    if weaker is not None:
        beside = replace(beside, weaker=_levels(read(weaker, columns=columns)))
    if null_loss is None and n_classes is not None:
        null_loss = float(np.log(n_classes))
    beside = replace(beside, pure=data_loss_alone)
    by_loss = _verdict(runs, "loss", null_loss, delta, beside, resamples, seed)
    null_error = None if n_classes is None else 1.0 - 1.0 / n_classes
    plain = Beside(target=target, pure=data_loss_alone)
    by_accuracy = _verdict(runs, "accuracy", null_error, None, plain, resamples, seed)
    if by_loss is not None:
        return replace(by_loss, other=by_accuracy)
    if by_accuracy is None:
        return _without_held_out(runs, null_loss, null_error)
    unused = "delta is in units of a loss and was not used: the log has no held-out loss"
    return by_accuracy if delta is None else replace(by_accuracy, evidence=(*by_accuracy.evidence, unused))


def _check(
    null_loss: float | None, n_classes: int | None, target: float | None, delta: float | None, resamples: int
) -> None:
    for name, value in (("null_loss", null_loss), ("delta", delta)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise RidgelineError(f"{name} is {value}; give a number above 0, or leave it out.")
    if n_classes is not None and n_classes < 2:
        raise RidgelineError(f"n_classes is {n_classes}; give 2 or more, or leave it out.")
    if target is not None and not 0 < target <= 1:
        raise RidgelineError(f"target is {target}; it is a training skill, 1 − loss/null loss, in (0, 1].")
    if resamples < 0:
        raise RidgelineError(f"resamples is {resamples}; give 0 or more.")


def _one_arm(runs: Sequence[History]) -> None:
    arms = list(dict.fromkeys(run.arm for run in runs))
    if len(arms) > 1:
        shown = ", ".join(arms[:4]) + (", …" if len(arms) > 4 else "")
        raise RidgelineError(
            f"the log holds {len(arms)} arms ({shown}); diagnose one at a time, of ridgeline.diagnosis.read(…), or "
            f"all by `ridgeline diagnose`."
        )


def _verdict(
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


def _levels(runs: Sequence[History]) -> tuple[float, float] | None:
    """Training and held-out loss at the end."""
    found = [one for one in (aligned(run, "loss") for run in runs) if one is not None and len(one.val)]
    if not found:
        return None
    f = features_of(together(found, Words("loss", runs[0].unit))[0])
    return None if f.train is None else (f.train.last, f.val.last)


def _penalty_share(runs: Sequence[History]) -> float | None:
    """The penalty's last value over the training loss's, the mean over runs; None where either is not logged."""
    shares = []
    for run in runs:
        penalty, loss = run.curves.get("penalty"), run.curves.get("train_loss")
        if penalty is not None and loss is not None and len(penalty) and len(loss) and loss.values[-1] > 0:
            shares.append(float(penalty.values[-1] / loss.values[-1]))
    return float(np.mean(shares)) if shares else None


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


def _without_held_out(runs: Sequence[History], null: float | None, null_error: float | None) -> Verdict:
    """Where there is no held-out curve: only divergence can be seen, of training judged on itself."""
    metric: Metric = "loss" if any("train_loss" in run.curves for run in runs) else "accuracy"
    held_out: Role = "val_loss" if metric == "loss" else "val_accuracy"
    of: Role = "train_loss" if metric == "loss" else "train_accuracy"
    shown = [
        History({held_out: run.curves[of], of: run.curves[of]}, run.arm, run.run, run.unit)
        for run in runs
        if of in run.curves
    ]
    verdict = _verdict(shown, metric, null if metric == "loss" else null_error, None, Beside(), 0, 0)
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
