"""What a pair of curves shows, in numbers: level, rise, gap, trend, noise, each in the metric's own unit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._history import Floats
from ridgeline.diagnosis._noise import late, noise
from ridgeline.diagnosis._suspicion import excess
from ridgeline.diagnosis._thresholds import DELTA_SHARE, SMALLEST_DELTA, STILL_FALLING, critical_rise
from ridgeline.diagnosis._windows import WIDE, Windows, medians, windows
from ridgeline.statistics import Interval, rise, von_neumann


@dataclass(frozen=True)
class Side:
    """One curve, training or held-out, over the runs of an arm.

    Attributes:
        first, last, lowest: levels of the mean curve: its first points, its end, its lowest window.
        lowest_step: where that window lies.
        noise: standard deviation of a level.
        rise: last − lowest, ≥ 0; over three runs and more the mean of what each rose above the step that the
            other runs choose, which may be negative.
        rise_interval: of that, from three runs.
        rise_by_chance: what a flat curve's end may stand above its lowest window.
        wide_rise, wide_rise_by_chance: the same of windows four times as wide.
        recent_fall: what it fell over the last part of the steps.
        roughness: √(½ mean squared difference of neighbours).
    """

    first: float
    last: float
    lowest: float
    lowest_step: float
    noise: float
    rise: float
    rise_interval: Interval | None
    rise_by_chance: float
    wide_rise: float
    wide_rise_by_chance: float
    recent_fall: float
    roughness: float
    seen: Windows

    def rose(self, delta: float) -> bool:
        """Whether it ends above its lowest point by δ and by more than chance."""
        if self.rise_interval is not None and self.rise_interval.low is not None:
            return self.rise_interval.low > 0 and self.rise >= delta
        narrow = self.rise >= delta and self.rise > self.rise_by_chance
        return narrow or (self.wide_rise >= delta and self.wide_rise > self.wide_rise_by_chance)

    def rise_excluded(self, delta: float, z: float) -> bool:
        """Whether a rise of δ is excluded, one-sided with the given z.

        The lowest window was selected, which only adds to the rise; the end alone may have come out too low.
        """
        if self.rise_interval is not None and self.rise_interval.high is not None:
            return self.rise_interval.high < delta
        return self.rise + z * self.noise < delta

    def at(self, step: float, steps: Floats) -> float:
        """The level at a step."""
        return float(
            np.interp(step, np.interp(self.seen.middle, np.arange(len(steps)), steps), self.seen.level)
        )


@dataclass(frozen=True)
class Features:
    """Both curves of one metric, as something to be lowered.

    Attributes:
        steps: shape (points,).
        null: the loss of a predictor that knows nothing: given, or taken from the start.
        delta: what counts as a difference.
        gap: held-out minus training level at the end; None without a training curve.
        val_half, train_half: what each fell over the second half.
        train_change: what the training level changed by since the held-out curve was lowest.
        excess: how far the training curve stands above the held-out one early on, as a share of it, where
            that amount falls; None where it does not.
    """

    steps: Floats
    null: float
    null_given: bool
    delta: float
    val: Side
    train: Side | None
    gap: float | None
    gap_noise: float
    val_half: float
    train_half: float | None
    train_change: float | None
    excess: float | None

    @property
    def to_learn(self) -> float:
        """null − lowest held-out level."""
        return self.null - self.val.lowest

    @property
    def skill(self) -> float | None:
        """1 − training level / null."""
        return None if self.train is None or self.null <= 0 else 1.0 - self.train.last / self.null


def features_of(
    runs: Sequence[Aligned], null: float | None = None, delta: float | None = None, pure: bool = False
) -> Features:
    """The features of the runs of one arm, at the same steps.

    Args:
        null: the null predictor's loss; by default the level of the first 2 % of the held-out curve.
        delta: by default 2 % of (null − lowest level), of the given null itself where nothing was learned.
        pure: whether the training loss is known to be the data loss alone.
    """
    steps = runs[0].steps
    val = _side(steps, [run.val for run in runs], lambda: [run.val_levels for run in runs])
    trains = [run.train for run in runs if run.train is not None]
    train = None
    if len(trains) == len(runs):
        train = _side(steps, trains, lambda: [run.train_levels for run in runs])
    start = val.first if null is None else null
    if delta is None:
        learned = start - val.lowest
        delta = DELTA_SHARE.value * (learned if learned > 0 or null is None else abs(start))
        if null is None:
            delta = max(delta, SMALLEST_DELTA.value * abs(val.lowest))
    half = change = above = None
    middle = 0.5 * (steps[0] + steps[-1])
    if train is not None:
        half = train.at(middle, steps) - train.last
        change = train.last - train.at(val.lowest_step, steps)
        apart = float(np.hypot(val.noise, train.noise))
        above = None if pure else excess(train.seen.level, val.seen.level, apart)
    return Features(
        steps=steps,
        null=start,
        null_given=null is not None,
        delta=delta,
        val=val,
        train=train,
        gap=None if train is None else val.last - train.last,
        gap_noise=val.noise if train is None else float(np.hypot(val.noise, train.noise)),
        val_half=val.at(middle, steps) - val.last,
        train_half=half,
        train_change=change,
        excess=above,
    )


def _side(steps: Floats, curves: Sequence[Floats], levels: Callable[[], Sequence[Floats]]) -> Side:
    mean = curves[0] if len(curves) == 1 else np.mean(curves, axis=0)
    seen, wide = windows(mean), windows(mean, WIDE)
    by_step = np.interp(seen.middle, np.arange(len(steps)), steps)
    about = noise(late(mean))
    lowest, found = seen.lowest, None
    size = seen.rise
    if len(curves) >= 3:
        risen = rise(np.arange(len(seen.level)), np.stack(levels()))
        found, size = risen.size, risen.size.mean
    part = steps[-1] - STILL_FALLING.value * (steps[-1] - steps[0])
    return Side(
        first=float(medians(mean[: max(1, len(mean) // 50)])),
        last=seen.end,
        lowest=float(seen.level[lowest]),
        lowest_step=float(by_step[lowest]),
        noise=about.of_mean(seen.k),
        rise=size,
        rise_interval=found,
        rise_by_chance=critical_rise(len(mean), "narrow") * about.of_mean(seen.k),
        wide_rise=wide.rise,
        wide_rise_by_chance=critical_rise(len(mean), "wide") * about.of_mean(wide.k),
        recent_fall=float(np.interp(part, by_step, seen.level)) - seen.end,
        roughness=von_neumann(mean),
        seen=seen,
    )
