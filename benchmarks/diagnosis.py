"""Verdicts against known truth, beside simpler readers of the same curves.

    python -m benchmarks.known_truth --out DIR
    python -m benchmarks.diagnosis --data DIR --split scored

A verdict `overfitting` says overfit, every other kind says not overfit. Ambiguous histories are counted and
not scored. Comparators read the losses and are tuned on the dev tasks, where their own scores flatter them.
Intervals: 95 %, tasks resampled; differences are paired.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.comparators import comparators, truth
from benchmarks.known_truth.histories import Labelled, load
from benchmarks.known_truth.scores import Flags, by_task, f1_scores, macro_f1, spread
from ridgeline.diagnosis import KINDS, Verdict, diagnose

_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0 + 1e-9)


def judged(histories: Sequence[Labelled], resamples: int, given: bool) -> list[Verdict]:
    """The verdict of each history; with `given`, the null loss is told where the log's scale has one."""
    return [
        diagnose(one.history, resamples=resamples, null_loss=one.null_loss if given else None)
        for one in histories
    ]


def of_accuracy(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """What each says of accuracy."""
    return [verdict if verdict.other is None else verdict.other for verdict in verdicts]


def by_accuracy(histories: Sequence[Labelled]) -> list[Labelled]:
    """Those of classes, under their labels by accuracy."""
    return [replace(one, label=one.label_error) for one in histories if one.label_error is not None]


def said(verdicts: Sequence[Verdict]) -> Flags:
    """Which say overfit, shape (n,)."""
    return np.array([verdict.kind == "overfitting" for verdict in verdicts])


def show_confusion(histories: Sequence[Labelled], verdicts: Sequence[Verdict]) -> None:
    """By label, how often each kind was said."""
    found = Counter((one.label, verdict.kind) for one, verdict in zip(histories, verdicts, strict=True))
    print(f"{'':14}" + "".join(f"{kind.replace('_', ' '):>17}" for kind in KINDS))
    for label in ("overfit", "not overfit", "ambiguous"):
        print(f"{label:14}" + "".join(f"{found[label, kind]:17d}" for kind in KINDS))


def show_scores(histories: Sequence[Labelled], ours: Flags, dev: Sequence[Labelled]) -> None:
    """Macro-F1 of the verdicts and of each comparator, and the paired differences."""
    tasks, right = [one.task for one in histories], truth(histories)
    counts = by_task(tasks, right, ours)
    of_overfit, of_others = f1_scores(counts.sum(0))
    print(f"\n{'':34}{'F1 overfit':>11}{'F1 not':>8}  {'macro-F1':24}{'verdict − comparator':24}")
    print(f"{'verdict':34}{of_overfit:11.3f}{of_others:8.3f}  {spread(counts)!s:24}")
    for name, answer in comparators(dev):
        theirs = by_task(tasks, right, answer(histories))
        of_overfit, of_others = f1_scores(theirs.sum(0))
        shown = f"{name:34}{of_overfit:11.3f}{of_others:8.3f}  {spread(theirs)!s:24}"
        print(shown + f"{spread(counts, theirs)!s:24}", flush=True)


def show_groups(histories: Sequence[Labelled], ours: Flags, by: str) -> None:
    """Counts and macro-F1 for each task, or each variant of the training loss."""
    groups = [getattr(one, by) or "plain" for one in histories]
    right = truth(histories)
    print(f"\n{'by ' + by:34}{'found':>7}{'missed':>7}{'false':>7}{'left':>7}{'macro-F1':>10}")
    for group, row in zip(dict.fromkeys(groups), by_task(groups, right, ours), strict=True):
        print(f"{group:34}" + "".join(f"{int(n):7d}" for n in row) + f"{macro_f1(row):10.3f}")


def show_calibration(histories: Sequence[Labelled], verdicts: Sequence[Verdict]) -> None:
    """How often a verdict of such confidence is right about overfit or not."""
    sure = np.array([np.nan if v.confidence is None else v.confidence for v in verdicts])
    ours, right = said(verdicts), truth(histories)
    print(f"\n{'confidence':14}{'histories':>10}{'mean':>8}{'right':>8}{'macro-F1':>10}")
    for low, high in pairwise(_BINS):
        inside = (sure >= low) & (sure < high)
        if inside.any():
            score = macro_f1(by_task(["all"] * int(inside.sum()), right[inside], ours[inside])[0])
            correct = float((ours == right)[inside].mean())
            shown = f"{low:.2f}–{min(high, 1.0):.2f}"
            print(f"{shown:14}{inside.sum():10d}{sure[inside].mean():8.3f}{correct:8.3f}{score:10.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="where benchmarks.known_truth wrote its tables"
    )
    parser.add_argument("--split", choices=("dev", "scored", "all"), default="scored")
    parser.add_argument("--resamples", type=int, default=0, help="for the confidence and its calibration")
    parser.add_argument("--given", action="store_true", help="tell the null loss, as a study knows it")
    parser.add_argument(
        "--metric", choices=("loss", "accuracy"), default="loss", help="what is labelled and judged"
    )
    parser.add_argument("--plain", action="store_true", help="without the weird training losses")
    parser.add_argument("--mistakes", action="store_true", help="name each history that was judged wrongly")
    options = parser.parse_args()
    everything, dev = (load(options.data, part) for part in (options.split, "dev"))
    if options.plain:
        everything, dev = ([one for one in found if not one.variant] for found in (everything, dev))
    if options.metric == "accuracy":
        everything, dev = by_accuracy(everything), by_accuracy(dev)
    dev = [one for one in dev if one.label != "ambiguous"]
    verdicts = judged(everything, options.resamples, options.given)
    if options.metric == "accuracy":
        verdicts = of_accuracy(verdicts)
    tasks = len({one.task for one in everything})
    print(f"{len(everything)} histories of {tasks} tasks, {options.split}, by {options.metric}\n")
    show_confusion(everything, verdicts)
    kept = [i for i, one in enumerate(everything) if one.label != "ambiguous"]
    histories, verdicts = [everything[i] for i in kept], [verdicts[i] for i in kept]
    ours = said(verdicts)
    show_scores(histories, ours, dev)
    show_groups(histories, ours, "variant")
    show_groups(histories, ours, "task")
    if options.resamples:
        show_calibration(histories, verdicts)
    if options.mistakes:
        print()
        for one, verdict, flag in zip(histories, verdicts, truth(histories), strict=True):
            if (verdict.kind == "overfitting") != flag:
                print(
                    f"{one.name}: {one.label} ({one.advantage:+.1f} δ), said {verdict.kind}: {verdict.evidence[0]}"
                )


if __name__ == "__main__":
    main()
