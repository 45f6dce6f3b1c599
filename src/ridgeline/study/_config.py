"""The configuration of one trial, strictly typed: unknown keys and values without effect are errors."""

import math
import re
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ridgeline.errors import nearest
from ridgeline.lanes import LossName, OptimizerName, PrecisionName, ScheduleName
from ridgeline.select import Mode

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

_STRENGTH = (
    "the penalty's coefficient is regularization.strength; the optimizer's own decay, biases included, is "
    "train.weight_decay"
)
MISPLACED = {"weight_decay": _STRENGTH, "lambda": _STRENGTH, "alpha": _STRENGTH, "wd": _STRENGTH}


PenaltyName: TypeAlias = Literal[
    "l1", "l2", "elastic_net", "group_lasso", "norm", "nuclear", "orthogonal", "l2sp", "max_norm"
]
PENALTY_OPTIONS: dict[PenaltyName, tuple[str, ...]] = {
    "l1": ("reduction",),
    "l2": ("reduction",),
    "elastic_net": ("l1_ratio", "reduction"),
    "group_lasso": ("dim",),
    "norm": ("p",),
    "nuclear": (),
    "orthogonal": (),
    "l2sp": ("reduction",),
    "max_norm": ("dim",),
}


class Strict(BaseModel):
    """No unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        if isinstance(value, dict):
            for key in value:
                if key not in cls.model_fields:
                    raise ValueError(unknown_key(str(key), list(cls.model_fields)))
        return value


def unknown_key(key: str, allowed: list[str]) -> str:
    """The sentence about an unknown key."""
    hint = MISPLACED.get(key.lower()) or nearest(key, allowed)
    return f"unknown key {key!r}; {hint}"


class ScheduleConfig(Strict):
    """The learning rate's course."""

    name: ScheduleName = "constant"
    warmup: Annotated[int, Field(ge=0)] = 0
    every: Count | None = None
    gamma: Positive = 0.1

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.name == "step") != (self.every is not None):
            raise ValueError(
                "`every` (updates between two steps) belongs to the schedule 'step', which needs it"
            )
        return self


class EarlyStoppingConfig(Strict):
    """When to stop before the last update."""

    monitor: str = "val_loss"  # its name is checked with the sets that evaluate names
    patience: Count = 10
    min_delta: NonNegative = 0.0


class TrainConfig(Strict):
    """How a trial is trained."""

    optimizer: OptimizerName = "adam"
    lr: Positive
    batch_size: Count = 64
    epochs: Count | None = None
    steps: Count | None = None
    loss: LossName | None = None
    momentum: Share | None = None
    nesterov: bool = False
    betas: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = None
    alpha: Share | None = None
    eps: Positive | None = None
    weight_decay: NonNegative = 0.0
    label_smoothing: Share = 0.0
    clip_norm: Positive | None = None
    schedule: ScheduleConfig = ScheduleConfig()
    early_stopping: EarlyStoppingConfig | None = None
    precision: PrecisionName = "float32"

    @field_validator("schedule", mode="before")
    @classmethod
    def _schedule_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, and not both")
        if self.momentum is not None and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(
                f"momentum has no effect with {self.optimizer}; use betas, or optimizer: sgd or rmsprop"
            )
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise ValueError("nesterov needs optimizer: sgd and a momentum above 0")
        if self.betas is not None and self.optimizer not in ("adam", "adamw"):
            raise ValueError(f"betas have no effect with {self.optimizer}; use momentum")
        if self.alpha is not None and self.optimizer != "rmsprop":
            raise ValueError(f"alpha is the smoothing of optimizer: rmsprop; {_STRENGTH}")
        if self.eps is not None and self.optimizer == "sgd":
            raise ValueError("eps has no effect with sgd; leave it out")
        return self


class RegularizationConfig(Strict):
    """One entry of `regularization`: a penalty on the weights that `match` names, or a person's own term.

    `factory` names a function of (model, strength) that returns a function without arguments: what it gives
    is added to the loss.
    """

    penalty: PenaltyName | None = None
    factory: str | None = None
    strength: NonNegative
    match: str | None = None
    mode: Mode = "loss"
    metric: Literal["optimizer", "euclidean"] = "optimizer"
    reduction: Literal["sum", "mean"] | None = None
    l1_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    dim: int | None = None
    p: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if (self.penalty is None) == (self.factory is None):
            raise ValueError("give either penalty or factory, and not both")
        if self.penalty is None:
            if self.match is not None or self.mode != "loss":
                raise ValueError(
                    "match and mode have no effect with factory, whose term is added to the loss"
                )
            known: tuple[str, ...] = ()
            owner = "factory"
        else:
            known, owner = PENALTY_OPTIONS[self.penalty], str(self.penalty)
        for option in ("reduction", "l1_ratio", "dim", "p"):
            if getattr(self, option) is not None and option not in known:
                takes = f"it takes {' and '.join(known)}" if known else "it takes no such options"
                raise ValueError(f"{option} has no effect with {owner}; {takes}")
        if self.penalty == "elastic_net" and self.l1_ratio is None:
            raise ValueError("elastic_net needs l1_ratio, the share of L1 in [0, 1]")
        if self.metric != "optimizer" and self.mode != "proximal":
            raise ValueError(f"metric has no effect in mode {self.mode}; it belongs to mode proximal")
        return self

    def options(self) -> dict[str, Any]:
        """The penalty's own arguments besides the strength."""
        options = () if self.penalty is None else PENALTY_OPTIONS[self.penalty]
        given = {option: getattr(self, option) for option in options}
        return {option: value for option, value in given.items() if value is not None}


_SLICE = re.compile(r"^(train|val|test|epoch|batch)(?:(?<!batch)\[(\d*):(\d*)\])?$")


class EvaluateConfig(Strict):
    """When and on what a trial is evaluated.

    `every` so many updates, or `at` these (the start and the last update besides); sets are slices of train, val,
    test, or of epoch, the training examples in the order of the running epoch; or batch, the batch just trained on.
    """

    every: Count | None = None
    at: Annotated[list[Count], Field(min_length=1)] | None = None
    train_examples: Count = 5_000
    sets: Annotated[dict[str, str], Field(default_factory=dict)]

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if self.every is not None and self.at is not None:
            raise ValueError("give either every or at, and not both")
        return self

    @field_validator("sets")
    @classmethod
    def _slices(cls, sets: dict[str, str]) -> dict[str, str]:
        for name, text in sets.items():
            if name in ("train", "val", "batch", "running") or not name.isidentifier():
                raise ValueError(f"{name!r} cannot name a set; choose another name of letters and digits")
            if not _SLICE.match(text):
                raise ValueError(
                    f"{name} is {text!r}; write 'train', 'val', 'test', 'epoch' or 'batch', or a slice: "
                    f"'train[:1000]'"
                )
        return sets

    def slices(self) -> dict[str, tuple[str, int | None, int | None]]:
        """Each further set as (origin, start, stop)."""
        found = {}
        for name, text in self.sets.items():
            match = _SLICE.match(text)
            assert match is not None
            origin, start, stop = match.groups()
            found[name] = (origin, int(start) if start else None, int(stop) if stop else None)
        return found


def default_every(steps: int, batch_size: int, n_evaluated: int) -> int:
    """Updates between two evaluations where the study names none.

    About 75 points a curve; fewer where evaluating would cost more than training (a training step costs
    some three forward passes of its batch), but not fewer than 10.

    Example:
        >>> default_every(600, 64, 1400), default_every(40, 100, 7000), default_every(5, 10, 10)
        (8, 4, 1)
    """
    by_points = math.ceil(steps / 75)
    by_cost = math.ceil(n_evaluated / (3 * batch_size))
    return max(1, min(max(by_points, by_cost), steps // 10))
