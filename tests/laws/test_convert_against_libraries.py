"""The same data, the same minimum: ours at the converted strength and the library's own fit.

scikit-learn's ElasticNet stands in for glmnet, whose manual states the same objective; TF1 and AllenNLP are held to
their formulas in the unit test, Keras in an optional one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import Tensor, nn

from ridgeline.penalties import CONVENTIONS, L1, L2, Penalty, convert

N, WIDE = 60, 4
X = torch.randn(N, WIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TRUTH = torch.tensor([[2.0, -1.0, 0.02, 0.0]], dtype=torch.float64)
NOISE = torch.randn(N, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = X @ TRUTH.T + 0.5 * NOISE + 1.0
THREE = torch.bucketize(Y[:, 0], torch.tensor([0.0, 2.0], dtype=torch.float64))
TWO = (THREE > 0).long()
TIGHT = 1e-12  # the solvers' tolerance; the minima then agree to CLOSE
CLOSE = 1e-6

Array = npt.NDArray[np.float64]
DataLoss = Callable[[Tensor, Tensor], Tensor]
LOSS: dict[str, DataLoss] = {
    "mse": F.mse_loss,
    "half_mse": lambda output, y: 0.5 * F.mse_loss(output, y),
    "cross_entropy": F.cross_entropy,
    "sigmoid": lambda output, y: F.binary_cross_entropy_with_logits(output[:, 0], y.double()),
}


def minimum(penalty: Penalty, loss: DataLoss, y: Tensor, outputs: int = 1, bias: bool = True) -> Array:
    """The weights (outputs, WIDE) that minimise our objective: proximal gradient steps until they stand still."""
    w = torch.zeros(outputs, WIDE, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    for _ in range(20_000):
        slope_w, slope_b = torch.autograd.grad(loss(X @ w.T + b, y), (w, b))
        with torch.no_grad():
            moved = penalty.prox(w - 0.3 * slope_w, step=0.3)
            still = max(float((moved - w).abs().max()), float(slope_b.abs().max()) if bias else 0.0) < 1e-13
            w.copy_(moved)
            if bias:
                b.sub_(0.3 * slope_b)
        if still:
            return w.detach().numpy()
    raise AssertionError("no minimum was reached")


def same(ours: Array, theirs: Array) -> bool:
    return bool(np.allclose(ours, theirs.reshape(ours.shape), rtol=CLOSE, atol=CLOSE))


@dataclass(frozen=True)
class Fit:
    """A library's fit of X, and what ours needs for the same."""

    name: str
    make: Callable[[float], Any]
    loss: str  # a key of LOSS
    y: Tensor
    asked: dict[str, Any]
    l1: bool = False
    outputs: int = 1

    @property
    def ours(self) -> str:
        return "ridgeline.L1" if self.l1 else "ridgeline.L2"

    def coefficients(self, strength: float) -> Array:
        """The library's own minimum."""
        found: Array = self.make(strength).fit(X.numpy(), self.y.squeeze().numpy()).coef_
        return found

    def minimum(self, strength: float) -> Array:
        """Ours."""
        penalty = L1(strength) if self.l1 else L2(strength)
        return minimum(penalty, LOSS[self.loss], self.y, self.outputs, self.make(1.0).fit_intercept)


def ridge(alpha: float) -> Ridge:
    return Ridge(alpha, solver="cholesky")


def bare_ridge(alpha: float) -> Ridge:
    return Ridge(alpha, fit_intercept=False)


def lasso(alpha: float) -> Lasso:
    return Lasso(alpha, tol=TIGHT, max_iter=100_000)


def logistic(c: float) -> LogisticRegression:
    return LogisticRegression(C=c, solver="newton-cholesky", tol=TIGHT)


def sparse_logistic(c: float) -> LogisticRegression:
    return LogisticRegression(C=c, l1_ratio=1.0, solver="saga", tol=TIGHT, max_iter=100_000, random_state=0)


RIDGE, LASSO, C = "sklearn.Ridge.alpha", "sklearn.Lasso.alpha", "sklearn.LogisticRegression.C"
SUM = {"n_samples": N}
FITS = {
    "Ridge, mse": Fit(RIDGE, ridge, "mse", Y, {"loss": "mse", **SUM}),
    "Ridge, half_mse": Fit(RIDGE, ridge, "half_mse", Y, {"loss": "half_mse", **SUM}),
    "Ridge, no intercept": Fit(RIDGE, bare_ridge, "mse", Y, {"loss": "mse", **SUM}),
    "Lasso, mse": Fit(LASSO, lasso, "mse", Y, {"loss": "mse"}, l1=True),
    "Lasso, half_mse": Fit(LASSO, lasso, "half_mse", Y, {"loss": "half_mse"}, l1=True),
    "logistic, two classes": Fit(C, logistic, "sigmoid", TWO, SUM),
    "logistic, three classes": Fit(C, logistic, "cross_entropy", THREE, SUM, outputs=3),
    "logistic, L1": Fit(C, sparse_logistic, "sigmoid", TWO, SUM, l1=True),
}
