"""diagnose(): from a history of any kind to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ridgeline.diagnosis._advice import advice_of
from ridgeline.diagnosis._align import Aligned, aligned
from ridgeline.diagnosis._confidence import confidence
from ridgeline.diagnosis._evidence import Words, evidence_of
from ridgeline.diagnosis._features import Features, features_of
from ridgeline.diagnosis._history import Curve, History, Role
from ridgeline.diagnosis._kinds import Kind, Metric, Verdict
from ridgeline.diagnosis._rules import Beside, far_above, kind_of
from ridgeline.diagnosis._suspicion import collapse, contradictions
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
        validation loss rose 0.257 ± 0 above its minimum at step 7 while training loss fell from 0.2353 to 0.003257
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
    return by_accuracy or _without_held_out(runs, null_loss, resamples)


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
    broke = [one.broke for one in found if one.broke is not None]
    if broke:
        beside = replace(beside, broke=(min(broke), len(broke)))
    found = together([one for one in found if len(one.val)])
    if not found:
        return _broken(metric, beside, runs)

    def judge(drawn: Sequence[Aligned]) -> Kind:
        return kind_of(features_of(drawn, null, delta, beside.pure), beside)

    features = features_of(found, null, delta, beside.pure)
    kind = kind_of(features, beside)
    words = Words(metric, runs[0].unit)
    return Verdict(
        kind=kind,
        metric=metric,
        confidence=confidence(found, judge, kind, resamples, seed) if resamples else None,
        evidence=(*evidence_of(kind, features, beside, words), *_remarks(runs, features, metric, words)),
        advice=tuple(advice_of(kind, features, beside, words.step(features.val.lowest_step))),
        delta=features.delta,
        features=_flat(features),
    )


def together(runs: Sequence[Aligned]) -> list[Aligned]:
    """The runs at the same steps: the common ones, else those of the first run within the common span."""
    if all(np.array_equal(run.steps, runs[0].steps) for run in runs[1:]):
        return list(runs)
    steps = runs[0].steps
    for run in runs[1:]:
        steps = np.intersect1d(steps, run.steps)
    if len(steps) < 0.5 * min(len(run.steps) for run in runs):
        first, last = max(run.steps[0] for run in runs), min(run.steps[-1] for run in runs)
        steps = runs[0].steps[(runs[0].steps >= first) & (runs[0].steps <= last)]
    if not len(steps):  # runs that never overlap: the first speaks
        return list(runs[:1])

    def at(run: Aligned) -> Aligned:
        train = None if run.train is None else np.interp(steps, run.steps, run.train)
        return replace(run, steps=steps, val=np.interp(steps, run.steps, run.val), train=train)

    return [at(run) for run in runs]


def _remarks(runs: Sequence[History], f: Features, metric: Metric, words: Words) -> list[str]:
    """What else is worth knowing: suspicious columns, a collapse, the reader's notes."""
    found = []
    if f.excess is not None:
        found.append(
            f"training {metric} begins {f.excess:.0%} above validation {metric}, by an amount that falls: it seems to "
            f"contain a penalty, dropout or augmentation, so the true gap is larger than it looks"
        )
    if metric == "loss":
        found += contradictions(runs[0].curves)
    else:
        lost = collapse(runs[0].curves["val_accuracy"])
        if lost is not None:
            step, held, end = lost
            found.append(
                f"accuracy held {held:.3f} and collapsed after {words.step(step)}, ending at {end:.3f}"
            )
    if f.gap is not None and f.excess is None and not far_above(f):
        found.append(f"the gap between validation and training is {words.amount(f.gap)} at the end")
    return [*found, *dict.fromkeys(note for run in runs for note in run.notes)]


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
    f = features_of(together(found))
    return None if f.train is None else (f.train.last, f.val.last)


def _penalty_share(runs: Sequence[History]) -> float | None:
    """The penalty's last value over the training loss's, the mean over runs; None where either is not logged."""
    shares = []
    for run in runs:
        penalty, loss = run.curves.get("penalty"), run.curves.get("train_loss")
        if penalty is not None and loss is not None and len(penalty) and len(loss) and loss.values[-1] > 0:
            shares.append(float(penalty.values[-1] / loss.values[-1]))
    return float(np.mean(shares)) if shares else None


def _broken(metric: Metric, beside: Beside, runs: Sequence[History]) -> Verdict:
    """Where no number is finite."""
    words = Words(metric, runs[0].unit)
    step, count = beside.broke or (0.0, len(runs))
    who = "the curve is" if count == 1 else f"{count} runs are"
    return Verdict(
        "diverged",
        metric,
        None,
        (f"{who} not finite from {words.step(step)} on",),
        ("lower the learning rate, and check the data for NaN first",),
        None,
        {},
    )


def _without_held_out(runs: Sequence[History], null: float | None, resamples: int) -> Verdict:
    """Where there is no held-out curve: only divergence can be seen."""
    metric: Metric = "loss" if any("train_loss" in run.curves for run in runs) else "accuracy"
    stand_in: Role = "val_loss" if metric == "loss" else "val_accuracy"
    of: Role = "train_loss" if metric == "loss" else "train_accuracy"
    shown = [
        History({stand_in: run.curves.get(of, Curve.of([]))}, run.arm, run.run, run.unit) for run in runs
    ]
    verdict = _verdict(shown, metric, null, None, Beside(), 0, 0)
    if verdict is not None and verdict.kind == "diverged":
        evidence = tuple(e.replace("validation", "training") for e in verdict.evidence)
        return replace(verdict, evidence=evidence)
    return Verdict(
        "undecided",
        metric,
        None,
        (
            "there is no held-out curve, and overfitting is what a model loses on data that it was not trained on",
        ),
        ("log the loss of a validation set, in evaluation mode",),
        None,
        {} if verdict is None else verdict.features,
    )
