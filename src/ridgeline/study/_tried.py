"""One program while the ways to train it are tried: alone, in packs."""

from dataclasses import replace

from ridgeline.errors import RidgelineError, reason
from ridgeline.lanes import Pace, pace_of, pace_of_pack
from ridgeline.study._choose import CLEARLY
from ridgeline.study._lanes import Group
from ridgeline.study._plan import EngineName, Way
from ridgeline.study._predict import affordable, line, pack_promises

# Lanes of the packs that are measured: what more of them cost is reckoned from there.
_FEW, _MORE = 2, 16
# Where packs are tried without being asked for.
_PACKS_ON = ("cpu",)


class Tried:
    """A group while the ways to train it are tried one by one.

    Attributes:
        pace: of one trial alone; None where the allowance was spent before.
        alone_s: seconds of all its trials, one after another.
    """

    def __init__(self, group: Group, asked: EngineName) -> None:
        self.group, self.asked, self.plan = group, asked, group.plan(asked)
        self.pace: Pace | None = None
        self.alone_s = group.predicted_s

    def add(self, way: Way) -> None:
        self.plan = replace(self.plan, ways=(*self.plan.ways, way))

    def alone(self, within: float) -> float:
        """Measure one trial alone; returns its seconds.

        Raises:
            RidgelineError: when it fails.
        """
        group = self.group
        try:
            self.pace = pace_of(group.probed, group.device, within)
        except RidgelineError:
            raise
        except Exception as error:  # a person's model may fail in any way
            arm = next(iter(group.trainings))
            raise RidgelineError(f"arm {arm!r} fails while training ({reason(error)}).") from error
        return self.pace.seconds(group.program.training)

    def packed(self, threads: int, within: float) -> None:
        """Measure packs, where something speaks for them."""
        lanes = min(self.plan.lanes, self.plan.trials)
        why = self._why_not(within)
        unit_s, trial_s, note = 0.0, None, f"not measured: {why}"
        if not why:
            try:
                unit_s, trial_s, note = self._pace_of_packs(lanes, within)
            except Exception as error:  # a person's model may fail in any way, or memory run out
                note = f"a pack failed when it was tried ({reason(error)})"
        measured = trial_s is not None
        if not measured and self.asked == "lanes":
            trial_s, note = self.alone_s / self.plan.trials, f"{note}; taken to be as fast as solo"
        self.add(Way("lanes", threads, self.plan.lanes, unit_s, trial_s, note, measured))

    def _why_not(self, within: float) -> str:
        """Why no pack is measured; "" where one is."""
        group, pace = self.group, self.pace
        if self.asked == "auto" and group.device.type not in _PACKS_ON:
            return f"on {group.device.type} packs are tried where --engine lanes asks for them"
        if pace is None:
            return "what measuring may take was spent on larger programs"
        if self.asked == "auto" and group.fitting < _FEW:
            return "two lanes take more memory than a pack should"
        if not affordable(_FEW, pace.start, pace.step, within):
            return "a pack takes longer to build than measuring may"
        return ""

    def _pace_of_packs(self, lanes: int, within: float) -> tuple[float, float, str]:
        """Of few lanes first; of more where that promises something."""
        assert self.pace is not None
        few_s = self._pace_of_pack(_FEW, within / 4)
        more, more_s = _FEW, few_s
        if pack_promises(self.alone_s, few_s, -(-self.plan.trials // lanes), CLEARLY):
            more = affordable(min(lanes, _MORE), self.pace.start, self.pace.step, within / 2) or _FEW
        if more > _FEW:
            more_s = self._pace_of_pack(more, within / 2)
        sizes = f"{_FEW} and {more}" if more > _FEW else f"{_FEW}"
        return *line(_FEW, few_s, more, more_s), f"packs of {sizes} lanes measured"

    def _pace_of_pack(self, lanes: int, within: float) -> float:
        first = self.group.program
        programs = [replace(first, seed=first.seed + k) for k in range(lanes)]
        return pace_of_pack(programs, self.group.device, self.plan.rule or None, within).seconds(
            first.training
        )
