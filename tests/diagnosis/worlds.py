"""Planted worlds: histories whose verdict is known because we made them so."""

import numpy as np
import numpy.typing as npt

from ridgeline.diagnosis import Curve, History

Floats = npt.NDArray[np.float64]


def ar(random: np.random.Generator, n: int, correlation: float) -> Floats:
    """AR(1) noise of standard deviation 1, shape (n,)."""
    shocks = random.standard_normal(n) * np.sqrt(1.0 - correlation**2)
    found = np.empty(n)
    value = random.standard_normal()
    for i, shock in enumerate(shocks):
        value = correlation * value + shock
        found[i] = value
    return found


def history(train: Floats | None, val: Floats, run: str = "", **others: Floats) -> History:
    """Loss curves at steps 1, 2, …"""
    curves = {} if train is None else {"train_loss": Curve.of(train)}
    curves |= {"val_loss": Curve.of(val)} | {name: Curve.of(values) for name, values in others.items()}
    return History(curves, run=run)  # type: ignore[arg-type]  # names of roles


def falling(n: int, start: float, end: float, rate: float = 8.0) -> Floats:
    """From start towards end, exponentially."""
    return end + (start - end) * np.exp(-rate * np.linspace(0.0, 1.0, n))


def world(kind: str, n: int = 200, noise: float = 0.01, seed: int = 0, correlation: float = 0.3) -> History:
    """A history of a kind, with AR(1) noise on both curves."""
    random = np.random.default_rng(seed)
    t = np.linspace(0.0, 1.0, n)
    a, b = (noise * ar(random, n, correlation) for _ in range(2))
    late = np.maximum(t - 0.3, 0.0)
    worlds: dict[str, tuple[Floats, Floats]] = {
        "overfitting": (falling(n, 2.3, 0.02), falling(n, 2.3, 0.5, 12.0) + 0.4 * late),
        "well_fitted": (falling(n, 2.3, 0.40, 12.0), falling(n, 2.3, 0.5, 12.0)),
        "undertrained": (2.3 - 1.0 * t, 2.3 - 0.9 * t),
        "diverged": (falling(n, 2.3, 0.5, 12.0) + 8.0 * late**2, falling(n, 2.3, 0.6, 12.0) + 8.0 * late**2),
        "worse": (falling(n, 2.3, 0.4, 12.0) + 1.0 * late, falling(n, 2.3, 0.5, 12.0) + 1.0 * late),
        "memorised": (falling(n, 2.3, 0.01), falling(n, 2.3, 1.4, 12.0)),
        "chance": (np.full(n, np.log(10.0)), np.full(n, np.log(10.0))),
    }
    train, val = worlds[kind]
    return history(train + a, val + b, run=str(seed))
