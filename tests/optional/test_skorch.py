"""skorch by the plain API: a callback binds when training begins, for grid search builds modules anew."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from torch import Tensor

import ridgeline
from ridgeline import L1, L2
from ridgeline.penalties import Penalty
from ridgeline.select import Mode
from tests.optional import worlds
from tests.optional.worlds import adamw, by_hand, each_penalty, momentum, same, weights

skorch, helper = worlds.library("skorch"), worlds.library("skorch.helper")
Callback: Any = skorch.callbacks.Callback
Regressor: Any = skorch.NeuralNetRegressor

X, Y = (t.numpy() for t in worlds.samples())
MOMENTUM = {"optimizer": torch.optim.SGD, "lr": 0.05, "optimizer__momentum": 0.9}
ADAMW = {"optimizer": torch.optim.AdamW, "lr": 0.01, "optimizer__weight_decay": 0.0}


class Penalized(Callback):
    """What a person writes: bound to the module and the optimizer that training begins with."""

    def __init__(self, strength: float = 0.3, penalty: Any = L2, mode: Mode = "coupled") -> None:
        self.strength, self.penalty, self.mode = strength, penalty, mode

    def on_train_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        penalty = self.penalty(self.strength)
        self.reg_ = ridgeline.regularize(net.module_, penalty, optimizer=net.optimizer_, mode=self.mode)

    def on_train_end(self, net: Any, *args: Any, **kwargs: Any) -> None:
        self.reg_.remove()


class InLoss(Regressor):
    """Mode "loss" in skorch: the penalty belongs to the loss of training, and not to that of validation."""

    def on_train_begin(self, net: Any, *args: Any, **kwargs: Any) -> None:
        super().on_train_begin(net, *args, **kwargs)
        self.reg_ = ridgeline.regularize(self.module_, L2(0.3), optimizer=self.optimizer_)

    def get_loss(
        self, y_pred: Tensor, y_true: Tensor, *args: Any, training: bool = False, **kwargs: Any
    ) -> Any:
        loss = super().get_loss(y_pred, y_true, *args, training=training, **kwargs)
        return loss + self.reg_.penalty() if training else loss


def net(*callbacks: Any, kind: Any = None, **changes: Any) -> Any:
    """A net with the world's module, order and epochs."""
    quiet = {"batch_size": 8, "max_epochs": 2, "train_split": None, "verbose": 0}
    changes = changes if "optimizer" in changes else {**MOMENTUM, **changes}
    named = [("ours", callback) for callback in callbacks]
    kind = kind or Regressor
    return kind(worlds.network, callbacks=named, callbacks__print_log=None, **{**quiet, **changes})


@pytest.mark.parametrize("how", ["momentum", "adamw"])
@each_penalty
def test_equals_the_loop_by_hand(how: str, mode: Mode, penalty: Penalty) -> None:
    settings, make = (MOMENTUM, momentum) if how == "momentum" else (ADAMW, adamw)
    found = net(Penalized(penalty.strength, type(penalty), mode), **settings).fit(X, Y)  # type: ignore[attr-defined]
    assert same(weights(found.module_), by_hand(make, penalty, mode))
    assert not same(weights(found.module_), by_hand(make, None, mode), close=1e-4)


def test_in_the_loss() -> None:
    validation = helper.predefined_split(skorch.dataset.Dataset(X, Y))
    found = net(kind=InLoss, train_split=validation).fit(X, Y)
    assert same(weights(found.module_), by_hand(momentum, L2(0.3), "loss"))
    error = float(np.square(found.predict(X) - Y).mean())
    assert found.history[-1, "valid_loss"] == pytest.approx(error)


@each_penalty
def test_training_that_goes_on(mode: Mode, penalty: Penalty) -> None:
    found = net(Penalized(penalty.strength, type(penalty), mode), max_epochs=1)  # type: ignore[attr-defined]
    found.partial_fit(X, Y).partial_fit(X, Y)
    assert same(weights(found.module_), by_hand(momentum, penalty, mode))
    assert worlds.hooks(found.optimizer_) == 0


def test_initialized_and_cloned() -> None:
    expected = by_hand(momentum, L1(0.1), "proximal")
    found = net(Penalized(0.1, L1, "proximal"))
    for _ in range(2):  # fit builds the module and the optimizer anew
        found.initialize()
        assert same(weights(found.fit(X, Y).module_), expected)
    twin = clone(found)
    assert same(weights(twin.fit(X, Y).module_), expected)
    twin.initialize().partial_fit(X, Y)
    assert same(weights(twin.module_), expected)


def test_optimizer_built_anew() -> None:
    def each_epoch(model: Any, optimizer: Any, reg: Any) -> Any:
        fresh = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        reg.bind(model, fresh)
        return fresh

    found = net(Penalized(), max_epochs=1).fit(X, Y)
    first = found.optimizer_
    found.set_params(lr=0.01, criterion=torch.nn.MSELoss).partial_fit(X, Y)
    assert found.optimizer_ is not first
    assert same(weights(found.module_), by_hand(momentum, L2(0.3), "coupled", each_epoch=each_epoch))


def test_grid_search_over_strengths() -> None:
    strengths = [0.0, 0.1, 1.0, 10.0]
    grid = {"callbacks__ours__strength": strengths}
    search = GridSearchCV(net(Penalized(mode="decoupled"), **ADAMW), grid, cv=2).fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    for strength, score in zip(strengths, scores, strict=True):
        alone = net(Penalized(strength, mode="decoupled"), **ADAMW)
        assert score == pytest.approx(cross_val_score(alone, X, Y, cv=2).mean())
    assert len(set(scores)) == len(strengths)
    best = search.best_params_["callbacks__ours__strength"]
    assert same(weights(search.best_estimator_.module_), by_hand(adamw, L2(best), "decoupled"))
