"""The Trainer's callback, in the Trainer: the weights are those of a loop written by hand."""

import copy
import gc
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

import ridgeline
from ridgeline import L1, L2, L2SP, Rule, schedules
from ridgeline.penalties import Penalty
from ridgeline.select import Mode
from tests.optional import worlds
from tests.optional.worlds import Make, adamw, by_hand, each_optimizer, each_penalty, momentum, same, weights

transformers = worlds.library("transformers")
Regularization = worlds.library("ridgeline.integrations.transformers").Regularization
TrainerCallback: Any = transformers.TrainerCallback


class Small(nn.Module):
    """The small network as the Trainer wants it."""

    def __init__(self) -> None:
        super().__init__()
        self.net = worlds.network()

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        out = self.net(x)
        return {"loss": F.mse_loss(out, labels), "logits": out}


@pytest.fixture
def trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A quiet Trainer on the CPU, offline, which writes below the test's own folder and keeps the order."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(gc, "collect", lambda: 0)  # each training asks for it; it walks through every module
    data = [{"x": x, "labels": y} for x, y in zip(*worlds.samples(), strict=True)]

    def make(*callbacks: Any, model: Any = None, by: Make | None = adamw, **changes: Any) -> Any:
        quiet = {
            "output_dir": str(tmp_path / "out"),
            "use_cpu": True,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            "report_to": "none",
            "save_strategy": "no",
            "logging_strategy": "no",
            "train_sampling_strategy": "sequential",
            "per_device_train_batch_size": 8,
            "num_train_epochs": 2,
            "max_grad_norm": 0.0,
            "lr_scheduler_type": "constant",
        }
        model = Small() if model is None else model
        return transformers.Trainer(
            model,
            transformers.TrainingArguments(**{**quiet, **changes}),
            train_dataset=data,
            callbacks=list(callbacks),
            optimizers=(None if by is None else by(model.parameters()), None),
        )

    return make


def trained(trainer: Any, **how: Any) -> list[Tensor]:
    """The weights after training."""
    trainer.train(**how)
    return weights(trainer.model)


# --- the same weights -----------------------------------------------------------------------------------


@each_optimizer
@each_penalty
def test_equals_the_loop_by_hand(trainer: Any, make: Make, mode: Mode, penalty: Penalty) -> None:
    found = trained(trainer(Regularization(penalty, mode=mode), by=make))
    assert same(found, by_hand(make, penalty, mode))
    assert not same(found, by_hand(make, None, mode), close=1e-4)


@each_penalty
def test_the_trainers_own_optimizer(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    found = trained(trainer(Regularization(penalty, mode=mode), by=None, learning_rate=0.01))
    assert same(found, by_hand(adamw, penalty, mode), close=1e-5)


def test_coupled_is_the_penalty_in_the_loss(trainer: Any) -> None:
    found = trained(trainer(Regularization(L2(0.3))))
    assert same(found, by_hand(adamw, L2(0.3), "loss"), close=1e-6)


@each_penalty
def test_once_for_each_accumulated_step(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    again = trainer(Regularization(penalty, mode=mode), by=momentum, gradient_accumulation_steps=2)
    assert same(trained(again), by_hand(momentum, penalty, mode, accumulate=2))


@each_penalty
def test_after_clipping(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    found = trained(trainer(Regularization(penalty, mode=mode), by=momentum, max_grad_norm=0.1))
    assert same(found, by_hand(momentum, penalty, mode, clip=0.1))


@each_penalty
def test_learning_rate_schedule(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    """Warm-up begins at 0, which mode "independent" must not take for the first learning rate."""

    def triangle(optimizer: Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: min(step, 8 - step) / 4)

    linear = {"lr_scheduler_type": "linear", "warmup_steps": 4}
    found = trained(trainer(Regularization(penalty, mode=mode), by=momentum, **linear))
    assert same(found, by_hand(momentum, penalty, mode, schedule=triangle))


@pytest.mark.parametrize("mode", ["coupled", "decoupled"])
def test_checkpointed_activations(trainer: Any, mode: Mode) -> None:
    config = transformers.BertConfig(
        vocab_size=8,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    tokens = torch.arange(32).view(8, 4) % 8
    data = [{"input_ids": row, "labels": torch.tensor(int(row.sum()) % 2)} for row in tokens]

    def run(*callbacks: Any, recompute: bool) -> list[Tensor]:
        torch.manual_seed(0)
        model = transformers.BertForSequenceClassification(config)
        again = trainer(*callbacks, model=model, activation_checkpointing=recompute)
        again.train_dataset = data
        return trained(again)

    found = run(Regularization(L2(0.3), mode=mode), recompute=True)
    assert same(found, run(Regularization(L2(0.3), mode=mode), recompute=False), close=1e-6)
    assert not same(found, run(recompute=True), close=1e-4)


# --- checkpoints ----------------------------------------------------------------------------------------


def growing(**how: Any) -> Any:
    """A penalty whose state matters: a strength that grows with the steps, a pull to the first weights."""
    rules = [
        Rule("net.0.weight", L2(schedules.warmup(0.5, 12)), "decoupled"),
        Rule("net.2.weight", L2SP(0.5), "coupled"),
    ]
    return Regularization(rules, **how)


KEPT = {"save_strategy": "epoch", "num_train_epochs": 4, "lr_scheduler_type": "linear"}


def test_resumed_is_uninterrupted(trainer: Any, tmp_path: Path) -> None:
    whole = trained(trainer(growing(), **KEPT))
    half = tmp_path / "out/checkpoint-8"
    assert (half / "ridgeline.safetensors").is_file()
    assert same(trained(trainer(growing(), **KEPT), resume_from_checkpoint=str(half)), whole)
    assert same(trained(trainer(growing(), **KEPT), resume_from_checkpoint=True), whole)

    elsewhere = tmp_path / "kept"
    shutil.move(half, elsewhere)
    again = trainer(growing(resume_from_checkpoint=elsewhere), **KEPT)
    assert same(trained(again, resume_from_checkpoint=str(elsewhere)), whole)


def test_resumed_without_the_state_is_said(trainer: Any, tmp_path: Path) -> None:
    whole = trained(trainer(growing(), **KEPT))
    half = tmp_path / "out/checkpoint-8"
    (half / "ridgeline.safetensors").unlink()
    with pytest.warns(UserWarning, match=r"resumes at step 8, but .*ridgeline\.safetensors does not exist"):
        resumed = trained(trainer(growing(), **KEPT), resume_from_checkpoint=str(half))
    assert not same(resumed, whole)


def test_another_training_starts_afresh(trainer: Any) -> None:
    callback = growing()
    again = trainer(callback)
    first = trained(again)
    assert callback.state_dict()["clock"] == 8
    trained(again)
    assert callback.state_dict()["clock"] == 8
    assert torch.equal(callback.state_dict()["references"]["net.2.weight"], first[2])


def test_copies_are_not_attached(trainer: Any) -> None:
    callback = growing()
    trained(trainer(callback))
    for twin in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert twin.regularizer is None
        assert twin.state_dict()["clock"] == 8


# --- models and optimizers that come anew -----------------------------------------------------------------


@each_penalty
def test_a_model_for_each_training(trainer: Any, mode: Mode, penalty: Penalty) -> None:
    """As a search does: the model and the optimizer are built anew by the Trainer."""
    again = trainer(Regularization(penalty, mode=mode), by=None, learning_rate=0.01)
    again.model_init = Small
    models = set()
    for _ in range(2):
        assert same(trained(again), by_hand(adamw, penalty, mode), close=1e-5)
        models.add(id(again.model))
    assert len(models) == 2


def test_training_that_is_tried_again(trainer: Any) -> None:
    class Full(Small):
        """Out of memory in the second batch, once."""

        calls = 0

        def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
            self.calls += 1
            if self.calls == 2:
                raise RuntimeError("CUDA out of memory.")
            return super().forward(x, labels)

    callback = growing(audit=False)
    again = trainer(callback, model=Full(), auto_find_batch_size=True)
    trained(again)
    assert callback.state_dict()["clock"] == again.state.global_step
    assert worlds.hooks(again.optimizer.optimizer) == 0


# --- what a person sees ---------------------------------------------------------------------------------


class Reporter(TrainerCallback):
    """Stands where TensorBoard would."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seen.append(dict(kwargs["logs"]))


def test_logged_values(trainer: Any, tmp_path: Path) -> None:
    logged = {"logging_strategy": "steps", "logging_steps": 2, "save_strategy": "epoch"}
    before, after = Reporter(), Reporter()
    again = trainer(before, Regularization(L2(0.3), name="ours"), after, **logged)
    found = trained(again)
    value = 0.15 * sum(float(w.square().sum()) for w in found if w.ndim > 1)
    history = json.loads((tmp_path / "out/checkpoint-8/trainer_state.json").read_text())["log_history"]
    assert [entry["step"] for entry in history] == [2, 4, 6, 8]
    assert history[-1]["ours/penalty"] == pytest.approx(value)
    assert set(history[-1]) >= {"ours/penalty/net.0.weight", "ours/exact_zeros", "loss"}
    assert after.seen[3]["ours/penalty"] == history[-1]["ours/penalty"]
    assert "ours/penalty" not in {**before.seen[3], **after.seen[4]}  # the last is the summary

    reporter = Reporter()
    again = trainer(reporter, **logged)
    Regularization(L2(0.3), mode="decoupled").add_to(again)
    assert same(trained(again), by_hand(adamw, L2(0.3), "decoupled"))
    assert "ridgeline/penalty" in reporter.seen[0]


def test_audit_is_printed_once(trainer: Any, capsys: pytest.CaptureFixture[str]) -> None:
    trained(trainer(Regularization(L2(0.3))))
    assert capsys.readouterr().out.count("42 of 51 weights are penalised") == 1
    trained(trainer(Regularization(L2(0.3), audit=False, log=False), logging_strategy="epoch"))
    assert "net.0.weight" not in capsys.readouterr().out


def test_decay_of_the_trainer_besides_is_refused(trainer: Any) -> None:
    both = {"by": None, "weight_decay": 0.01}
    with pytest.raises(ValueError, match=r"decays net\.0\.weight by itself .weight_decay=0\.01."):
        trainer(Regularization(L2(0.3)), **both).train()
    trainer(Regularization([Rule("*bias", L1(0.1))]), **both).train()  # the Trainer leaves biases alone


def test_detached_afterwards(trainer: Any) -> None:
    callback = Regularization(L2(0.3))
    again = trainer(callback)
    trained(again)
    assert callback.regularizer is None
    assert worlds.hooks(again.optimizer.optimizer) == 0


def test_in_the_loss_is_refused() -> None:
    with pytest.raises(ridgeline.RidgelineError, match=r"mode='coupled', whose gradient is the same"):
        Regularization(L2(0.3), mode="loss")
