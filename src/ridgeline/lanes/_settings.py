"""How one trial is trained: plain values, checked where they are made."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

OptimizerName: TypeAlias = Literal["adam", "adamw", "rmsprop", "sgd"]
LossName: TypeAlias = Literal["cross_entropy", "mse", "half_mse"]
ScheduleName: TypeAlias = Literal["constant", "cosine", "linear", "step"]
PrecisionName: TypeAlias = Literal["float32", "bf16-matmul", "bf16", "tf32"]


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the run, as a factor: warm-up from 0, then constant, cosine, linear or step.

    step: × gamma every `every` updates. cosine and linear end at 0 with the last update.
    """

    name: ScheduleName = "constant"
    warmup: int = 0
    every: int = 0
    gamma: float = 0.1


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when `monitor` has not improved by min_delta for `patience` evaluations."""

    monitor: str = "val_loss"
    patience: int = 10
    min_delta: float = 0.0


@dataclass(frozen=True)
class Training:
    """Everything about training but model, data, penalty and seed.

    Args:
        steps: updates in all.
        evaluate_every: updates between two evaluations; the start and the last update are always evaluated.
        evaluate_at: the updates to evaluate after, in place of evaluate_every.
        train_examples: how many training examples the curve's train_loss is taken over, the first ones;
            at the last and the best step it is all.
        alpha: how slowly RMSprop's mean of squared gradients fades.
        sets: further sets by name, each ("train" | "val" | "test" | "epoch" | "batch", start, stop);
            "epoch" is the training examples in the order of the running epoch, "batch" those of the last
            update, evaluated after it and always whole.
        precision: of matrix products and convolutions, in updates and evaluations; weights stay float32.
    """

    optimizer: OptimizerName
    lr: float
    batch_size: int
    steps: int
    loss: LossName
    evaluate_every: int
    evaluate_at: frozenset[int] | None = None
    momentum: float = 0.0
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    schedule: Schedule = field(default_factory=Schedule)
    early_stopping: EarlyStopping | None = None
    train_examples: int = 5_000
    precision: PrecisionName = "float32"
    sets: dict[str, tuple[str, int | None, int | None]] = field(default_factory=dict)

    def evaluates(self, step: int) -> bool:
        """Whether the curve has a point after this update."""
        if step == self.steps:
            return True
        return step % self.evaluate_every == 0 if self.evaluate_at is None else step in self.evaluate_at
