"""What the verdicts are compared with: simple readers of the same curves, tuned on the dev tasks."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TypeAlias

import numpy as np
from scipy.stats import rankdata

from benchmarks.known_truth.histories import Labelled
from benchmarks.known_truth.scores import Flags, counts_of, macro_f1

# Fitted on histories with labels; answers overfit or not for others.
Answer: TypeAlias = Callable[[Sequence[Labelled]], Flags]
_LENGTH, _RADIUS = 80, 8


def losses_of(one: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation loss at the same points."""
    train, val = (one.history.curves[role] for role in ("train_loss", "val_loss"))
    return np.interp(val.steps, train.steps, train.values), val.values


def truth(histories: Sequence[Labelled]) -> Flags:
    """Which are overfit, shape (n,)."""
    return np.array([one.label == "overfit" for one in histories])


def _best(values: Sequence[float], said: Callable[[float], Flags], right: Flags) -> tuple[float, float]:
    """The value with the highest macro-F1, and that."""
    scores = [float(macro_f1(counts_of(right, said(value)))) for value in values]
    place = int(np.argmax(scores))
    return values[place], scores[place]


def rank_correlation(dev: Sequence[Labelled]) -> tuple[str, Answer]:
    """Overfit where Spearman's correlation of training and validation loss lies below a threshold."""

    def correlations(histories: Sequence[Labelled]) -> np.ndarray:
        found = []
        for one in histories:
            train, val = (rankdata(values) for values in losses_of(one))
            spread = train.std() * val.std()
            found.append(np.mean((train - train.mean()) * (val - val.mean())) / spread if spread else 1.0)
        return np.array(found)

    known = correlations(dev)
    bound, _ = _best(list(np.linspace(-1.0, 1.0, 201)), lambda value: known < value, truth(dev))
    return f"rank correlation below {bound:.2f}", lambda histories: correlations(histories) < bound


def patience(dev: Sequence[Labelled]) -> tuple[str, Answer]:
    """Overfit where early stopping would have stopped before the end; patience in points, or as a share of them."""

    def longest_wait(one: Labelled) -> int:
        """The most points in a row without a new lowest validation loss, the last point not counted."""
        val = losses_of(one)[1][:-1]
        lowest = np.minimum.accumulate(val)
        better = np.flatnonzero(np.append(True, val[1:] < lowest[:-1]))
        return int(np.diff(np.append(better, len(val))).max()) - 1

    def waits(histories: Sequence[Labelled]) -> tuple[np.ndarray, np.ndarray]:
        found = np.array([longest_wait(one) for one in histories])
        return found, found / np.array([len(losses_of(one)[1]) for one in histories])

    points, shares = waits(dev)
    right = truth(dev)
    by_points = _best([1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200], lambda p: points >= p, right)
    by_share = _best(list(np.arange(0.05, 0.95, 0.05)), lambda p: shares >= p, right)
    if by_points[1] >= by_share[1]:
        return f"patience of {by_points[0]} points", lambda histories: waits(histories)[0] >= by_points[0]
    return (
        f"patience of {by_share[0]:.0%} of the points",
        lambda histories: waits(histories)[1] >= by_share[0],
    )


def neighbours(dev: Sequence[Labelled]) -> tuple[str, Answer]:
    """k nearest neighbours among the dev histories by dynamic time warping of both curves, by tslearn.

    Curves are brought to 80 points and to [0, 1] together; k is chosen with each task's histories left out.
    """
    from tslearn.metrics import cdist_dtw

    def series(histories: Sequence[Labelled]) -> np.ndarray:
        found = np.empty((len(histories), _LENGTH, 2))
        for i, one in enumerate(histories):
            both = np.stack(losses_of(one))
            low, high = both.min(), both.max()
            places = np.linspace(0.0, both.shape[1] - 1.0, _LENGTH)
            for j, values in enumerate((both - low) / (high - low if high > low else 1.0)):
                found[i, :, j] = np.interp(places, np.arange(len(values)), values)
        return found

    def distances(ours: np.ndarray, theirs: np.ndarray | None = None) -> np.ndarray:
        return cdist_dtw(ours, theirs, global_constraint="sakoe_chiba", sakoe_chiba_radius=_RADIUS)

    known, right = series(dev), truth(dev)

    def vote(far: np.ndarray, k: float) -> Flags:
        return right[np.argsort(far, axis=1, kind="stable")[:, : int(k)]].mean(1) > 0.5

    tasks = np.array([one.task for one in dev])
    apart = np.where(tasks[:, None] == tasks[None, :], np.inf, distances(known))
    k, _ = _best([1, 3, 5, 7, 11, 15, 21, 31], lambda value: vote(apart, value), right)
    return f"{k} neighbours by time warping", lambda histories: vote(distances(series(histories), known), k)


def comparators(dev: Sequence[Labelled]) -> list[tuple[str, Answer]]:
    """Each comparator, tuned; time warping where tslearn is installed (dependency group `bench`)."""
    found = [rank_correlation(dev), patience(dev)]
    return found + ([neighbours(dev)] if find_spec("tslearn") is not None else [])
