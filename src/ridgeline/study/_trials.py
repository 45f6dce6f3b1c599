"""Trials: one configuration with one seed each, and their identity."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ridgeline.errors import RidgelineError, nearest
from ridgeline.study._config import EvaluateConfig, RegularizationConfig, TrainConfig
from ridgeline.study._grid import expand, override
from ridgeline.study._options import data_identity, data_options, model_identity, model_options
from ridgeline.study._sentence import as_sentence
from ridgeline.study._spec import StudySpec

SECTIONS = ("data", "model", "train", "regularization", "evaluate")


@dataclass(frozen=True)
class Config:
    """A trial's configuration, checked."""

    data: Mapping[str, Any]
    model: Mapping[str, Any]
    model_options: dict[str, Any]
    train: TrainConfig
    regularization: tuple[RegularizationConfig, ...]
    evaluate: EvaluateConfig

    @property
    def penalised(self) -> bool:
        """Whether any penalty has a strength above 0."""
        return any(entry.strength > 0 for entry in self.regularization)

    def identity(self) -> dict[str, Any]:
        """The program these settings stand for: defaults left out, penalties of strength 0 gone.

        A rule of strength 0 stays while a later one acts, since it keeps its weights from that one.
        """
        entries = list(self.regularization)
        while entries and entries[-1].strength == 0:
            entries.pop()
        return {
            "data": data_identity(self.data),
            "model": model_identity(self.model),
            "train": self.train.model_dump(exclude_defaults=True),
            "regularization": [e.model_dump(exclude_defaults=True, exclude={"name"}) for e in entries],
            "evaluate": self.evaluate.model_dump(exclude_defaults=True),
        }

    def describe(self) -> str:
        """The penalties in words, for tables: "L2 at 0.01", "proximal L1 at 0.1 on head.*"."""
        return " + ".join(_in_words(entry) for entry in self.regularization if entry.strength > 0)


def _in_words(entry: RegularizationConfig) -> str:
    if entry.penalty is None:
        return f"{entry.factory} at {entry.strength:g}"
    name = entry.penalty.upper() if len(entry.penalty) == 2 else entry.penalty.replace("_", " ")
    mode = "" if entry.mode == "loss" else f"{entry.mode} "
    return f"{mode}{name} at {entry.strength:g}" + (f" on {entry.match}" if entry.match else "")


@dataclass(frozen=True)
class Trial:
    """One row of a study: an arm with one seed.

    Attributes:
        trial_id: a hash of the program and the seed; two arms that are the same program share it.
        varied: every key that differs between arms, with this arm's value.
        sections: the raw sections after the arm's overrides.
    """

    trial_id: str
    arm: str
    seed: int
    varied: dict[str, Any]
    sections: dict[str, Any]
    config: Config

    def layout(self) -> dict[str, Any]:
        """This trial's row in the run's layout."""
        return {
            "trial_id": self.trial_id,
            "arm": self.arm,
            "seed": self.seed,
            **self.varied,
            "regularization": self.config.describe(),  # last: an arm may set the whole section
        }


def check_sections(sections: Mapping[str, Any]) -> Config:
    """The configuration in a trial's raw sections.

    Raises:
        RidgelineError: naming the first key that is wrong.
    """
    where = "data"
    try:
        data_options(sections["data"])
        where = "model"
        model = model_options(sections["model"])
        where = "train"
        train = TrainConfig.model_validate(sections["train"])
        where = "evaluate"
        evaluate = EvaluateConfig.model_validate(sections["evaluate"])
        where = "regularization"
        raw = sections["regularization"]
        entries = raw if isinstance(raw, list) else [] if raw is None else [raw]
        rules = tuple(RegularizationConfig.model_validate(entry) for entry in entries)
    except ValidationError as error:
        raise as_sentence(error, where) from None
    if train.early_stopping is not None:
        known = [f"{n}_{m}" for n in ("train", "val", *evaluate.sets) for m in ("loss", "accuracy")]
        monitor = train.early_stopping.monitor
        if monitor not in known:
            raise RidgelineError(f"train.early_stopping.monitor is {monitor!r}; {nearest(monitor, known)}")
        watched = evaluate.slices().get(monitor.rpartition("_")[0])
        if watched is not None and watched[0] == "test":
            raise RidgelineError(
                f"train.early_stopping.monitor is {monitor!r}, part of the test set, which takes no part in "
                f"choosing; use 'val_loss'."
            )
    return Config(sections["data"], sections["model"], model, train, rules, evaluate)


def trials_of(spec: StudySpec) -> list[Trial]:
    """All trials of a study: arm by arm, seeds 0…n−1 within each arm."""
    arms = expand(spec)
    base = {name: getattr(spec, name) for name in SECTIONS}
    keys = list(dict.fromkeys(key for arm in arms for key in arm.overrides))
    for key in keys:
        if key.split(".")[0] not in SECTIONS:
            raise RidgelineError(
                f"{key!r} cannot be varied; begin it with one of {', '.join(SECTIONS)}: "
                f"{nearest(key.split('.')[0], SECTIONS)}"
            )
    trials = []
    for arm in arms:
        sections = override(base, arm.overrides)
        try:
            config = check_sections(sections)
        except RidgelineError as error:
            if not arm.overrides:
                raise
            raise RidgelineError(f"arm {arm.label!r}: {error}") from None
        varied = {key: _plain(_look_up(sections, key)) for key in keys}
        digest_of = json.dumps(config.identity(), sort_keys=True, default=str)
        for seed in range(spec.seeds):
            sha = hashlib.sha256(f"{digest_of}|{seed}".encode())
            trials.append(Trial(sha.hexdigest()[:16], arm.label, seed, varied, sections, config))
    return trials


def _look_up(sections: Any, dotted: str) -> Any:
    """The value at a dotted key of an arm's sections; None where the arm leaves it at its default."""
    for part in dotted.split("."):
        if isinstance(sections, list):
            sections = next((entry for entry in sections if entry.get("name") == part), None)
        elif isinstance(sections, Mapping):
            sections = sections.get(part)
        else:
            return None
    return sections


def _plain(value: Any) -> Any:
    """A varied value as a table column holds it."""
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value)
