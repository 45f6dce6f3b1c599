"""Weird training losses: the same run as another training loop would have logged it."""

from collections.abc import Callable

import numpy as np

# From the stored columns of a run and its arm's name to the columns that differ; None where nothing would.
Weird = Callable[[dict[str, np.ndarray], str], dict[str, np.ndarray] | None]


def _penalized(values: dict[str, np.ndarray], arm: str) -> dict[str, np.ndarray] | None:
    """The training loss contains the penalty."""
    return {"train_loss": values["train_loss"] + values["penalty"]} if "l1=" in arm or "l2=" in arm else None


def _running(values: dict[str, np.ndarray], arm: str) -> dict[str, np.ndarray] | None:
    """The training loss as it was trained on: weights still moving, dropout on."""
    return None if "smoothing" in arm else {"train_loss": values["running_loss"]}


def _smoothed(values: dict[str, np.ndarray], arm: str) -> dict[str, np.ndarray] | None:
    """The training loss contains label smoothing."""
    return {"train_loss": values["running_loss"]} if "smoothing" in arm else None


def _scaled(values: dict[str, np.ndarray], _: str) -> dict[str, np.ndarray] | None:
    """All losses times a constant."""
    return {role: 250.0 * values[role] for role in ("train_loss", "val_loss")}


def _summed(values: dict[str, np.ndarray], _: str) -> dict[str, np.ndarray] | None:
    """The training loss alone times a constant: a sum over the batch where validation takes the mean."""
    return {"train_loss": 32.0 * values["train_loss"]}


VARIANTS: dict[str, Weird] = {
    "penalty inside": _penalized,
    "running": _running,
    "label smoothing": _smoothed,
    "all scaled": _scaled,
    "training scaled": _summed,
}
