"""Splitting a study into packs: what can share a program, and in which portions it is trained. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from ridgeline.study._plan import Plan, RuleName, pack_sizes
from ridgeline.study._trials import Config, Trial

# What lanes may differ in; all else of `train` is the program's.
_BY_LANE = {
    "lr",
    "momentum",
    "betas",
    "alpha",
    "eps",
    "weight_decay",
    "label_smoothing",
    "clip_norm",
    "schedule",
    "early_stopping",
}


@dataclass(frozen=True)
class Unit:
    """Trials that are trained in one go: a pack, or one trial alone.

    Attributes:
        engine: "lanes" or "solo".
        rule: of a pack's optimizer.
        begun: the file name of the checkpoint from which a pack goes on; "" from its start.
        done: the ids of trials that are stored already and only keep a pack the one that was interrupted.
    """

    trials: tuple[Trial, ...]
    engine: str
    rule: RuleName = ""
    begun: str = ""
    done: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """How messages call it."""
        first = self.trials[0]
        more = f" and {len(self.trials) - 1} more" if len(self.trials) > 1 else ""
        return f"{first.arm!r}, seed {first.seed}{more}"


def program_key(config: Config) -> str:
    """What trials of one pack have in common, as text: data, model, sizes, kind of optimizer, evaluations.

    A named model's dropout may differ by lane. A person's factory may make of its arguments what it likes,
    so all of them count.
    """
    identity = config.identity()
    model: dict[str, Any] = dict(identity["model"])
    if "name" in model:
        model.pop("dropout", None)
    train = {key: value for key, value in identity["train"].items() if key not in _BY_LANE}
    train["momentum"] = bool(identity["train"].get("momentum"))  # without, there is no buffer for it
    metrics = sorted({entry.metric for entry in config.regularization if entry.mode == "proximal"})
    shared = [identity["data"], model, train, identity["evaluate"], metrics]
    return json.dumps(shared, sort_keys=True, default=str)


def units_of(trials: Sequence[Trial], plan: Plan) -> list[Unit]:
    """The trials in portions, as the plan has it: each is in exactly one.

    Trials of one seed, which share data and masks, come to lie in one pack; packs of one program are of
    even size, and as many as keep every process busy.
    """
    made: list[Unit] = []
    known = {arm for program in plan.programs for arm in program.arms}
    for program in plan.programs:
        arms = set(program.arms)
        own = sorted((t for t in trials if t.arm in arms), key=lambda t: t.seed)
        if program.engine != "lanes":
            made += [Unit((trial,), "solo") for trial in own]
            continue
        ends = accumulate(pack_sizes(len(own), program.lanes, plan.processes), initial=0)
        made += [Unit(tuple(own[first:last]), "lanes", program.rule) for first, last in pairwise(ends)]
    return made + [Unit((trial,), "solo") for trial in trials if trial.arm not in known]
