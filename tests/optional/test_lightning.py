"""The Lightning callback, in Lightning: the weights are those of a loop written by hand."""

import copy
import csv
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import StepLR

import ridgeline
from ridgeline import L1, L2, L2SP, Rule, schedules
from ridgeline.penalties import Penalty
from ridgeline.select import Mode
from tests.optional import worlds
from tests.optional.worlds import Make, adamw, by_hand, each_optimizer, each_penalty, momentum, same, weights

pl = worlds.library("lightning.pytorch")
Regularization = worlds.library("ridgeline.integrations.lightning").Regularization
LightningModule: Any = pl.LightningModule
Callback: Any = pl.Callback
BaseFinetuning: Any = pl.callbacks.BaseFinetuning

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]


some_penalties = pytest.mark.parametrize(
    ("mode", "penalty"), [("coupled", L2(0.3)), ("proximal", L1(0.1))], ids=["coupled", "proximal"]
)


class Module(LightningModule):
    """The small network as Lightning wants it."""

    def __init__(self, make: Make, schedule: bool = False) -> None:
        super().__init__()
        self.net, self.make, self.schedule = worlds.network(), make, schedule

    def training_step(self, batch: tuple[Tensor, Tensor], place: int) -> Tensor:
        x, y = batch
        return F.mse_loss(self.net(x), y)

    def configure_optimizers(self) -> Any:
        optimizer = self.make(self.net.parameters())
        return [optimizer], [StepLR(optimizer, 1, 0.5)] if self.schedule else []


class ByHand(Module):
    """The penalty attached in the module itself, by the plain API: an oracle for what only Lightning does."""

    def __init__(self, make: Make, penalty: Penalty, mode: Mode) -> None:
        super().__init__(make)
        self.rules, self.mode = penalty, mode

    def configure_optimizers(self) -> Any:
        optimizer = self.make(self.net.parameters())
        self.__dict__["reg"] = ridgeline.regularize(self, self.rules, optimizer=optimizer, mode=self.mode)
        return optimizer

    def on_fit_end(self) -> None:
        self.__dict__.pop("reg").remove()


def batches() -> Any:
    """The epoch of the world, in its order."""
    data = torch.utils.data.TensorDataset(*worlds.samples())
    return torch.utils.data.DataLoader(data, batch_size=8)


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Any]:
    """A quiet Trainer on the CPU, which writes below the test's own folder."""

    def make(*callbacks: Any, **changes: Any) -> Any:
        quiet = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": tmp_path,
            "max_epochs": 2,
        }
        return pl.Trainer(callbacks=list(callbacks), **{**quiet, **changes})

    return make


def fitted(trainer: Any, module: Any, **how: Any) -> list[Tensor]:
    """The weights after a fit."""
    trainer.fit(module, batches(), **how)
    return weights(module.net)


# --- the same weights -----------------------------------------------------------------------------------


@each_optimizer
@each_penalty
def test_equals_the_loop_by_hand(trainer: Any, make: Make, mode: Mode, penalty: Penalty) -> None:
    found = fitted(trainer(Regularization(penalty, mode=mode)), Module(make))
    assert same(found, by_hand(make, penalty, mode))
    assert not same(found, by_hand(make, None, mode), close=1e-4)


def test_coupled_is_the_penalty_in_the_loss(trainer: Any) -> None:
    found = fitted(trainer(Regularization(L2(0.3))), Module(adamw))
    assert same(found, by_hand(adamw, L2(0.3), "loss"), close=1e-6)


def test_without_a_strength_nothing_changes(trainer: Any) -> None:
    found = fitted(trainer(Regularization(L2(0.0), mode="decoupled")), Module(adamw))
    assert same(found, by_hand(adamw, None, "decoupled"))


@each_penalty
def test_once_for_each_accumulated_step(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    found = fitted(trainer(Regularization(penalty, mode=mode), accumulate_grad_batches=2), Module(momentum))
    assert same(found, by_hand(momentum, penalty, mode, accumulate=2))


@each_penalty
def test_after_clipping(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    found = fitted(trainer(Regularization(penalty, mode=mode), gradient_clip_val=0.1), Module(momentum))
    assert same(found, by_hand(momentum, penalty, mode, clip=0.1))


@each_penalty
def test_learning_rate_schedule(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    found = fitted(trainer(Regularization(penalty, mode=mode)), Module(momentum, schedule=True))
    assert same(found, by_hand(momentum, penalty, mode, schedule=lambda o: StepLR(o, len(batches()), 0.5)))


def test_line_search_sees_the_penalty(trainer: Any) -> None:
    def lbfgs(parameters: Any) -> Optimizer:
        return LBFGS(parameters, lr=0.5, max_iter=4)

    callback, oracle = Regularization(L2(0.3)), ByHand(lbfgs, L2(0.3), "coupled")
    assert same(fitted(trainer(callback), Module(lbfgs)), fitted(trainer(), oracle))
    assert not same(weights(oracle.net), fitted(trainer(), Module(lbfgs)), close=1e-4)


# --- precision ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
@some_penalties
def test_precision(trainer: Any, precision: str, mode: Mode, penalty: Penalty) -> None:
    modules = Module(momentum), ByHand(momentum, penalty, mode), Module(momentum)
    found = fitted(trainer(Regularization(penalty, mode=mode), precision=precision), modules[0])
    assert same(found, fitted(trainer(precision=precision), modules[1]))
    assert not same(found, fitted(trainer(precision=precision), modules[2]), close=1e-3)


@some_penalties
def test_gradient_scaler_and_skipped_steps(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    def scaled() -> Any:
        """The first steps overflow and are left out."""
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, backoff_factor=2.0**-6)
        return pl.plugins.MixedPrecision("16-mixed", "cpu", scaler)

    half = scaled()
    found = fitted(trainer(Regularization(penalty, mode=mode), plugins=[half]), Module(momentum))
    oracle = fitted(trainer(plugins=[scaled()]), ByHand(momentum, penalty, mode))
    assert half.scaler.get_scale() < 2.0**24
    assert same(found, oracle)
    assert not same(found, fitted(trainer(plugins=[scaled()]), Module(momentum)), close=1e-3)


# --- checkpoints ----------------------------------------------------------------------------------------


def growing() -> Any:
    """A penalty whose state matters: a strength that grows with the steps, a pull to the first weights."""
    return Regularization(
        [
            Rule("net.0.weight", L2(schedules.warmup(0.5, 12)), "decoupled"),
            Rule("net.2.weight", L2SP(0.5), "coupled"),
        ]
    )


def test_resumed_is_uninterrupted(trainer: Any, tmp_path: Path) -> None:
    whole = fitted(trainer(growing(), max_epochs=4), Module(adamw))
    first = trainer(growing())
    fitted(first, Module(adamw))
    first.save_checkpoint(tmp_path / "half.ckpt")
    again = trainer(growing(), max_epochs=4)
    resumed = fitted(again, Module(adamw), ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert same(resumed, whole)
    forgotten = torch.load(tmp_path / "half.ckpt", weights_only=True)
    forgotten["callbacks"] = {}
    torch.save(forgotten, tmp_path / "forgotten.ckpt")
    assert not same(
        fitted(trainer(growing(), max_epochs=4), Module(adamw), ckpt_path=tmp_path / "forgotten.ckpt"), whole
    )


def test_a_second_fit_goes_on(trainer: Any) -> None:
    callback, module = growing(), Module(adamw)
    again = trainer(callback)
    fitted(again, module)
    again.fit_loop.max_epochs = 4
    fitted(again, module)
    assert callback.state_dict()["clock"] == 16
    reference = callback.state_dict()["references"]["net.2.weight"]
    assert torch.equal(reference, weights(worlds.network())[2])


def test_another_module_starts_afresh(trainer: Any) -> None:
    callback = growing()
    fitted(trainer(callback), Module(adamw))
    fitted(trainer(callback), Module(adamw))
    assert callback.state_dict()["clock"] == 8


def test_copies_are_not_attached(trainer: Any) -> None:
    callback = growing()
    fitted(trainer(callback), Module(adamw))
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert twin.regularizer is None
        assert twin.state_dict()["clock"] == 8


# --- optimizers and parameters that come and go -----------------------------------------------------------


class Rebuild(Callback):
    """Builds the optimizers anew at every epoch but the first."""

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch:
            trainer.strategy.setup_optimizers(trainer)


@pytest.mark.parametrize("first", [True, False], ids=["before ours", "after ours"])
@each_penalty
def test_optimizer_built_anew(trainer: Any, first: bool, mode: Mode, penalty: Penalty) -> None:
    def each_epoch(model: nn.Module, optimizer: Optimizer, reg: Any) -> Optimizer:
        fresh = adamw(model.parameters())
        if reg is not None:
            reg.bind(model, fresh)
        return fresh

    callbacks = [Rebuild(), Regularization(penalty, mode=mode)]
    found = fitted(trainer(*callbacks[:: 1 if first else -1], max_epochs=3), Module(adamw))
    assert same(found, by_hand(adamw, penalty, mode, epochs=3, each_epoch=each_epoch))


class Thaw(BaseFinetuning):
    """Trains the first layer from the second epoch on."""

    def freeze_before_training(self, pl_module: Any) -> None:
        self.freeze(pl_module.net[0])

    def finetune_function(self, pl_module: Any, epoch: int, optimizer: Any) -> None:
        if epoch == 1:
            self.unfreeze_and_add_param_group(pl_module.net[0], optimizer, initial_denom_lr=1.0)


def test_thawed_layers_are_penalised(trainer: Any) -> None:
    def make(parameters: Any) -> Optimizer:
        return momentum([p for p in parameters if p.requires_grad])

    found = fitted(trainer(Regularization(L2(0.3)), Thaw()), Module(make))
    plain = fitted(trainer(Thaw()), Module(make))
    start = weights(worlds.network())
    assert not torch.equal(found[0], start[0])
    assert not torch.allclose(found[0], plain[0], atol=1e-4)
    assert not torch.allclose(found[2], plain[2], atol=1e-4)


def test_averaged_weights(trainer: Any) -> None:
    def averaging() -> Any:
        return pl.callbacks.StochasticWeightAveraging(0.02, swa_epoch_start=1, annealing_epochs=1)

    callback = Regularization(L1(0.1), mode="proximal")
    oracle = fitted(trainer(averaging(), max_epochs=3), ByHand(momentum, L1(0.1), "proximal"))
    assert same(fitted(trainer(averaging(), callback, max_epochs=3), Module(momentum)), oracle)


def test_learning_rate_finder(trainer: Any) -> None:
    class WithRate(Module):
        def __init__(self) -> None:
            super().__init__(momentum)
            self.lr = 0.05

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.net.parameters(), lr=self.lr)

    for place in (0, 1):
        callback = growing()
        finder = pl.callbacks.LearningRateFinder(num_training_steps=10)
        module = WithRate()
        callbacks = [finder, callback] if place else [callback, finder]
        fitted(trainer(*callbacks), module)
        assert callback.state_dict()["clock"] == 8
        reference = callback.state_dict()["references"]["net.2.weight"]
        assert torch.equal(reference, weights(worlds.network())[2])


class Pair(LightningModule):
    """Two networks with an optimizer each, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = worlds.network(), worlds.network()

    def training_step(self, batch: tuple[Tensor, Tensor], place: int) -> None:
        x, y = batch
        for net, optimizer in zip((self.generator, self.critic), self.optimizers(), strict=True):
            with optimizer.toggle_model():
                optimizer.zero_grad()
                self.manual_backward(F.mse_loss(net(x), y))
                optimizer.step()

    def configure_optimizers(self) -> Any:
        return momentum(self.generator.parameters()), adamw(self.critic.parameters())


def test_several_optimizers(trainer: Any) -> None:
    generator = Regularization([Rule("generator.*weight", L2(0.3))], name="generator")
    critic = Regularization([Rule("critic.*weight", L1(0.1), "proximal")], name="critic")
    pair, again = Pair(), trainer(generator, critic)
    again.fit(pair, batches())
    assert same(weights(pair.generator), by_hand(momentum, L2(0.3), "coupled"))
    assert same(weights(pair.critic), by_hand(adamw, L1(0.1), "proximal"))
    assert generator.state_key != critic.state_key


def test_rules_over_several_optimizers_are_refused(trainer: Any) -> None:
    with pytest.raises(
        ridgeline.RidgelineError, match=r"no one of the 2 optimizers holds .*critic\.0\.weight"
    ):
        trainer(Regularization(L2(0.3))).fit(Pair(), batches())


# --- what a person sees ---------------------------------------------------------------------------------


def test_logged_values_and_audit(
    trainer: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("lightning.pytorch"), "propagate", True)
    logger = pl.loggers.CSVLogger(tmp_path)
    again = trainer(Regularization(L2(0.3), name="ours"), logger=logger, log_every_n_steps=2)
    module = Module(momentum)
    with caplog.at_level(logging.INFO, "lightning.pytorch"):
        again.fit(module, batches())
    rows = list(csv.DictReader((tmp_path / "lightning_logs/version_0/metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "3", "5", "7"]
    value = 0.15 * sum(float(w.square().sum()) for w in weights(module.net) if w.ndim > 1)
    assert float(rows[-1]["ours/penalty"]) == pytest.approx(value)
    assert float(again.callback_metrics["ours/penalty/net.0.weight"]) < value
    assert "42 of 51 weights are penalised" in caplog.text
    assert caplog.text.count("net.0.weight") == 1


def test_silence_on_request(trainer: Any) -> None:
    callback = Regularization(L2(0.3), audit=False, log=False)
    again = trainer(callback, log_every_n_steps=1)
    fitted(again, Module(momentum))
    assert not again.callback_metrics


def test_detached_afterwards(trainer: Any) -> None:
    callback = Regularization(L2(0.3))
    again = trainer(callback)
    fitted(again, Module(momentum))
    assert callback.regularizer is None
    assert worlds.hooks(again.optimizers[0]) == 0


def test_detached_after_an_error(trainer: Any) -> None:
    class Breaks(Module):
        def on_train_epoch_end(self) -> None:
            raise RuntimeError("broken")

    callback = Regularization(L2(0.3))
    again = trainer(callback)
    with pytest.raises(RuntimeError, match="broken"):
        again.fit(Breaks(momentum), batches())
    assert callback.regularizer is None
    assert worlds.hooks(again.optimizers[0]) == 0


def test_decay_of_the_optimizer_besides_is_refused(trainer: Any) -> None:
    def decaying(parameters: Any) -> Optimizer:
        return torch.optim.AdamW(parameters, weight_decay=0.01)

    with pytest.raises(ValueError, match=r"decays net\.0\.weight by itself .weight_decay=0\.01."):
        trainer(Regularization(L2(0.3))).fit(Module(decaying), batches())
