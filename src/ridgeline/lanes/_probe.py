"""Trying a trial before anything is trained: whether model, data, loss and penalty fit each other."""

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ridgeline.errors import RidgelineError, reason
from ridgeline.lanes._history import curve_sets
from ridgeline.lanes._precision import arithmetic
from ridgeline.lanes._program import Program
from ridgeline.lanes._solo import Trial


@dataclass(frozen=True)
class Probed:
    """A trial that was built and tried, and the seconds that building it took."""

    trial: Trial
    seconds: float

    @property
    def model(self) -> nn.Module:
        """Its model, with the weights that it begins with until something trains it."""
        return self.trial.model


def probe(program: Program, device: torch.device) -> Probed:
    """Build the model and push two examples through model, loss and penalty.

    Raises:
        RidgelineError: when the model cannot process the data, or a rule does not fit the model.
    """
    with torch.random.fork_rng(devices=[]), arithmetic(program.training.precision, device):
        began = time.perf_counter()
        try:
            trial = Trial(program, device)
            seconds = time.perf_counter() - began
            if trial.regularizer is not None:
                trial.regularizer.penalty()
        except RidgelineError:
            raise
        except ValueError as error:  # a penalty or mode that does not fit the model
            raise RidgelineError(" ".join(str(error).split())) from error
        moving = {"epoch": "train", "batch": "train"}
        origins = {name: moving.get(origin, origin) for name, (origin, *_) in program.training.sets.items()}
        for name, examples in {**curve_sets(trial.sets, program.training), **trial.moving_sets()}.items():
            if len(examples) == 0:
                raise RidgelineError(
                    f"evaluate.sets.{name} is an empty slice: its set has "
                    f"{len(trial.sets[origins[name]])} examples; change its ends."
                )
        x, _ = trial.train_set.batch(torch.arange(min(2, len(trial.train_set))))
        try:
            output = trial.callable.eval()(x.to(device))
        except Exception as error:  # a person's model may fail in any way
            raise RidgelineError(
                f"the model cannot process a batch of shape {tuple(x.shape)} ({reason(error)}); check that it "
                f"fits the data."
            ) from error
        expected = (len(x), program.data.n_outputs)
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        classes = program.training.loss == "cross_entropy"
        if shape != expected and not (classes and isinstance(output, Tensor) and _wider(output, expected)):
            raise RidgelineError(
                f"the model returns {shape} for a batch of {len(x)}; the data need {expected}: one column "
                f"a {'class' if classes else 'target'}."
            )
        return Probed(trial, seconds)


def _wider(output: Tensor, expected: tuple[int, int]) -> bool:
    """More logits than classes seen are legal: a class may be absent from a small data set."""
    return output.ndim == 2 and output.shape[0] == expected[0] and output.shape[1] >= expected[1]
