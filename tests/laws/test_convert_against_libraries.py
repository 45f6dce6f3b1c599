"""The same data, the same minimum: ours at the converted strength and the library's own fit.

scikit-learn's ElasticNet stands in for glmnet, whose manual states the same objective; TF1 and AllenNLP are held to
their formulas in the unit test, Keras in an optional one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import Tensor, nn

from ridgeline.penalties import CONVENTIONS, L1, L2, Penalty, _convert, convert
from tests.modes.worlds import weights

N, WIDE = 60, 4
X = torch.randn(N, WIDE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TRUTH = torch.tensor([[2.0, -1.0, 0.02, 0.0]], dtype=torch.float64)
NOISE = torch.randn(N, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = X @ TRUTH.T + 0.5 * NOISE + 1.0
THREE = torch.bucketize(Y[:, 0], torch.tensor([0.0, 2.0], dtype=torch.float64))
TWO = (THREE > 0).long()
TIGHT = 1e-12  # the solvers' tolerance; the minima then agree to CLOSE
CLOSE = 1e-9

Array = npt.NDArray[np.float64]
DataLoss = Callable[[Tensor, Tensor], Tensor]
LOSS: dict[str, DataLoss] = {
    "mse": F.mse_loss,
    "half_mse": lambda output, y: 0.5 * F.mse_loss(output, y),
    "cross_entropy": F.cross_entropy,
    "sigmoid": lambda output, y: F.binary_cross_entropy_with_logits(output[:, 0], y.double()),
}
# The largest second derivative of each by the output; with that of the data it bounds a step.
CURVATURE = {"mse": 2.0, "half_mse": 1.0, "cross_entropy": 0.5, "sigmoid": 0.25}
SQUARES = float(torch.linalg.matrix_norm(torch.cat([X, torch.ones_like(Y)], 1), 2).square()) / N


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # the tensors are tiny
    yield
    torch.set_num_threads(before)


def minimum(penalty: Penalty, loss: str, y: Tensor, outputs: int = 1, bias: bool = True) -> Array:
    """The weights (outputs, WIDE) that minimise our objective: proximal gradient steps until they stand still."""
    step = 1.0 / (CURVATURE[loss] * SQUARES)
    w = torch.zeros(outputs, WIDE, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(outputs, dtype=torch.float64, requires_grad=True)
    for _ in range(20_000):
        slope_w, slope_b = torch.autograd.grad(LOSS[loss](X @ w.T + b, y), (w, b))
        with torch.no_grad():
            moved = penalty.prox(w - step * slope_w, step)
            still = max(float((moved - w).abs().max()), float(slope_b.abs().max()) if bias else 0.0) < 1e-12
            w.copy_(moved)
            if bias:
                b.sub_(step * slope_b)
        if still:
            return w.detach().numpy()
    raise RuntimeError("no minimum was reached")


def same(ours: Array, theirs: Array) -> bool:
    return np.allclose(ours, theirs.reshape(ours.shape), rtol=CLOSE, atol=CLOSE)


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
        return minimum(penalty, self.loss, self.y, self.outputs, self.make(1.0).fit_intercept)


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


@pytest.mark.parametrize("strength", [0.1, 0.7])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_their_strength_in_ours_has_their_minimum(fit: Fit, strength: float) -> None:
    ours = convert(strength, fit.name, fit.ours, **fit.asked)
    assert same(fit.minimum(ours), fit.coefficients(strength))


@pytest.mark.parametrize("strength", [0.005, 0.3])
@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_our_strength_in_theirs_has_our_minimum(fit: Fit, strength: float) -> None:
    theirs = convert(strength, fit.ours, fit.name, **fit.asked)
    assert same(fit.minimum(strength), fit.coefficients(theirs))


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_a_lost_half_is_seen(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    right = CONVENTIONS[fit.name]
    wrong = {**CONVENTIONS, fit.name: replace(right, factor=2 * right.factor)}
    monkeypatch.setattr(_convert, "CONVENTIONS", wrong)
    with pytest.raises(AssertionError):
        test_their_strength_in_ours_has_their_minimum(fit, 0.1)


@pytest.mark.parametrize("loss", ["mse", "half_mse"])
def test_both_parts_of_an_elastic_net_as_glmnet_writes_it(loss: str) -> None:
    alpha, ratio = 0.2, 0.4
    l1 = convert(alpha * ratio, "glmnet.lasso", "ridgeline.L1", loss=loss)
    l2 = convert(alpha * (1 - ratio), "glmnet.ridge", "ridgeline.L2", loss=loss)
    theirs = ElasticNet(alpha, l1_ratio=ratio, tol=TIGHT).fit(X.numpy(), Y[:, 0].numpy())
    assert same(minimum(L1(l1) + L2(l2), loss, Y), theirs.coef_)


def test_glmnet_and_lasso_write_the_same() -> None:
    assert convert(0.2, "sklearn.Lasso.alpha", "glmnet.lasso") == 0.2


def test_several_targets_are_several_samples() -> None:
    many = torch.cat([Y, -2 * Y, X[:, :1] + NOISE], dim=1)
    ours = convert(2.0, RIDGE, "ridgeline.L2", n_samples=N * 3, loss="mse")
    theirs = ridge(2.0).fit(X.numpy(), many.numpy())
    assert same(minimum(L2(ours), "mse", many, outputs=3), theirs.coef_)


def test_two_outputs_for_two_classes_take_twice_the_strength() -> None:
    ours = convert(0.5, C, "ridgeline.L2", n_samples=N)
    theirs = logistic(0.5).fit(X.numpy(), TWO.numpy()).coef_
    w = minimum(L2(2 * ours), "cross_entropy", TWO, outputs=2)
    assert same(w[1:] - w[:1], theirs)
    once = minimum(L2(ours), "cross_entropy", TWO, outputs=2)
    assert not same(once[1:] - once[:1], theirs)


def decayed(make: Any, **settings: Any) -> Array:
    """The weights at which full-batch steps stand still, under Ridge's alpha = 6 as a weight decay."""
    model = nn.Linear(WIDE, 1, bias=False, dtype=torch.float64)
    decay = convert(6.0, RIDGE, "torch.weight_decay", n_samples=N, loss="mse")
    optimizer = make(model.parameters(), lr=0.1, weight_decay=decay, **settings)
    for _ in range(1500):
        optimizer.zero_grad()
        F.mse_loss(model(X), Y).backward()
        optimizer.step()
    return model.weight.detach().numpy()


def test_weight_decay_ends_where_ridge_does() -> None:
    theirs = bare_ridge(6.0).fit(X.numpy(), Y[:, 0].numpy()).coef_
    assert same(decayed(torch.optim.SGD), theirs)
    # With an eps this large Adam's constant steps come to rest.
    assert same(decayed(torch.optim.Adam, eps=1.0), theirs)
    assert not same(decayed(torch.optim.AdamW, eps=1.0), theirs)


NETWORKS: dict[str, tuple[Any, str, Tensor]] = {
    "regressor, half_mse": (MLPRegressor, "half_mse", Y),
    "regressor, mse": (MLPRegressor, "mse", Y),
    "classifier, two classes": (MLPClassifier, "sigmoid", TWO),
    "classifier, three classes": (MLPClassifier, "cross_entropy", THREE),
}


@pytest.mark.parametrize("batch", [N, N // 3])
@pytest.mark.parametrize("kind", NETWORKS)
def test_an_mlp_trains_the_same_weights(kind: str, batch: int) -> None:
    make, loss, y = NETWORKS[kind]
    labels = y.squeeze().numpy()
    plain_sgd = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.1, "shuffle": False}
    theirs = make(
        hidden_layer_sizes=(5,), activation="tanh", alpha=3.0, batch_size=batch, random_state=0, **plain_sgd
    )
    again = {} if make is MLPRegressor else {"classes": np.unique(labels)}
    theirs.partial_fit(X.numpy(), labels, **again)  # makes the weights, with one pass over the data
    model = copied(theirs)
    theirs.partial_fit(X.numpy(), labels)

    named = {"sigmoid": "cross_entropy"}.get(loss, loss)
    ours = convert(3.0, "sklearn.MLP.alpha", "ridgeline.L2", n_samples=batch, loss=named)
    # MLPRegressor descends ½(y − ŷ)²: without the ½, half the step is the same step.
    sgd = torch.optim.SGD(model.parameters(), lr=0.05 if loss == "mse" else 0.1)
    for part in torch.arange(N).split(batch):
        sgd.zero_grad()
        penalty = sum(L2(ours).value(w) for w in model.parameters() if w.ndim == 2)
        (LOSS[loss](model(X[part]), y[part]) + penalty).backward()
        sgd.step()
    for ours_now, theirs_now in zip(weights(model), weights(copied(theirs)), strict=True):
        assert torch.allclose(ours_now, theirs_now, rtol=1e-10, atol=1e-12)


def test_an_mlp_fitted_by_lbfgs_divides_by_all_samples() -> None:
    # Without a hidden layer it is Ridge, or LogisticRegression; its lbfgs stops at a relative change of 2e-9.
    settings = {"hidden_layer_sizes": (), "solver": "lbfgs", "tol": TIGHT, "random_state": 0}
    linear = MLPRegressor(alpha=convert(6.0, RIDGE, "sklearn.MLP.alpha"), **settings)
    found = linear.fit(X.numpy(), Y[:, 0].numpy()).coefs_[0].T
    assert np.allclose(found, ridge(6.0).fit(X.numpy(), Y[:, 0].numpy()).coef_, atol=1e-4)
    softmax = MLPClassifier(alpha=convert(0.5, C, "sklearn.MLP.alpha"), **settings)
    found = softmax.fit(X.numpy(), THREE.numpy()).coefs_[0].T
    assert np.allclose(found, logistic(0.5).fit(X.numpy(), THREE.numpy()).coef_, atol=1e-4)


def copied(fitted: Any) -> nn.Sequential:
    """The same network in torch."""
    layers: list[nn.Module] = []
    for w, b in zip(fitted.coefs_, fitted.intercepts_, strict=True):
        layer = nn.Linear(len(w), len(b), dtype=torch.float64)
        layer.load_state_dict({"weight": torch.tensor(w.T), "bias": torch.tensor(b)})
        layers += [layer, nn.Tanh()]
    return nn.Sequential(*layers[:-1])
