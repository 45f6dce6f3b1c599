"""A history as diagnosis sees it: curves by role, whatever log they came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

# What a curve is: train and val are the data that training saw and held-out data. A log's "test" is its
# held-out curve where it has no validation curve.
Role: TypeAlias = Literal["train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty", "lr"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Curve:
    """Numbers over steps.

    Attributes:
        steps: strictly increasing, shape (points,); of whatever unit the log counts in.
        values: shape (points,); NaN and infinities are kept, for they are evidence. Accuracies lie in [0, 1].
        column: the name that the log gives it.

    Example:
        >>> Curve.of([0.9, 0.5], column="valid loss").steps
        array([1., 2.])
    """

    steps: Floats
    values: Floats
    column: str = ""

    @classmethod
    def of(
        cls, values: Sequence[float] | Floats, steps: Sequence[float] | Floats | None = None, column: str = ""
    ) -> "Curve":
        """A curve of these numbers; steps 1, 2, … by default. Of equal steps the last is kept.

        Raises:
            ValueError: for steps of another length than the values.
        """
        found = np.asarray(values, dtype=np.float64)
        places = np.arange(1.0, len(found) + 1.0) if steps is None else np.asarray(steps, dtype=np.float64)
        if places.shape != found.shape or found.ndim != 1:
            raise ValueError(
                f"a curve got {found.shape} values and {places.shape} steps; give one step a value."
            )
        if len(places) > 1 and not np.all(places[1:] > places[:-1]):
            order = np.argsort(places, kind="stable")
            places, found = places[order], found[order]
            last = np.append(places[1:] != places[:-1], True)
            places, found = places[last], found[last]
        return cls(places, found, column)

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True)
class History:
    """One run's curves.

    Attributes:
        curves: by role; a role that the log lacks is missing. Two curves of one history may have different
            steps, as where training is logged every 50 steps and validation once an epoch.
        arm: what configuration it is; runs of one arm are its seeds.
        run: which run of the arm; a seed, a file, or "".
        unit: what steps count: "step", "epoch", or "row" where the log says nothing.
    """

    curves: Mapping[Role, Curve]
    arm: str = ""
    run: str = ""
    unit: str = "step"
    notes: tuple[str, ...] = field(default=())
