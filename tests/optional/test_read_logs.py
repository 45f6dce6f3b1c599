"""The readers on files that the libraries themselves wrote: the numbers are those that the library holds."""

import contextlib
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ridgeline.diagnosis import History, Role, read
from tests.diagnosis.readers import one, points
from tests.optional import worlds

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated"),
]
X, Y = worlds.samples()
LABELS = (Y[:, 0] > 0).long()


def values(history: History, role: Role) -> list[float]:
    return [value for _, value in points(history, role)]


# --- Lightning ------------------------------------------------------------------------------------------


def test_lightning(tmp_path: Path) -> None:
    lightning = worlds.library("lightning.pytorch")
    base: Any = lightning.LightningModule
    held: dict[str, list[tuple[float, float]]] = {"train": [], "val": [], "acc": []}

    class Module(base):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Linear(X.shape[1], 2)

        def training_step(self, batch: tuple[Tensor, Tensor], place: int) -> Tensor:
            loss = F.cross_entropy(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=False)
            if (self.global_step + 1) % 2 == 0:
                held["train"].append((self.global_step, loss.item()))
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], place: int) -> None:
            out = self.net(batch[0])
            self.log("val_loss", F.cross_entropy(out, batch[1]))
            self.log("val_acc", (out.argmax(1) == batch[1]).float().mean())

        def on_validation_epoch_end(self) -> None:
            found = self.trainer.callback_metrics
            held["val"].append((self.global_step - 1, float(found["val_loss"])))
            held["acc"].append((self.global_step - 1, float(found["val_acc"])))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    data = torch.utils.data.TensorDataset(X, LABELS)
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=lightning.loggers.CSVLogger(tmp_path),
        callbacks=[lightning.callbacks.LearningRateMonitor()],
        log_every_n_steps=2,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loaders = (
        torch.utils.data.DataLoader(data, batch_size=4),
        torch.utils.data.DataLoader(data, batch_size=len(X)),
    )
    trainer.fit(Module(), *loaders)
    folder = tmp_path / "lightning_logs/version_0"
    for source in (
        folder / "metrics.csv",
        folder,
        tmp_path / "lightning_logs",
        pl.read_csv(folder / "metrics.csv"),
    ):
        history = one(source)
        assert history.unit == "step"
        for role, name in (("train_loss", "train"), ("val_loss", "val"), ("val_accuracy", "acc")):
            assert np.allclose(points(history, role), held[name]), role  # type: ignore[arg-type]
        assert set(values(history, "lr")) == {0.1}
    pandas = worlds.library("pandas")
    assert points(one(pandas.read_csv(folder / "metrics.csv")), "val_loss") == points(one(folder), "val_loss")


# --- Hugging Face ---------------------------------------------------------------------------------------


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Linear(X.shape[1], 2)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        out = self.net(x)
        return {"loss": F.cross_entropy(out, labels), "logits": out}


def test_hugging_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    transformers = worlds.library("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = [{"x": x, "labels": y} for x, y in zip(X, LABELS, strict=True)]

    def accuracy(found: Any) -> dict[str, float]:
        return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}

    trainer = transformers.Trainer(
        Classifier(),
        transformers.TrainingArguments(
            output_dir=str(tmp_path),
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            report_to="none",
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_steps=2,
            num_train_epochs=2,
            per_device_train_batch_size=4,
        ),
        train_dataset=data,
        eval_dataset=data,
        compute_metrics=accuracy,
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        trainer.train()
    rows = trainer.state.log_history
    expected = {
        "train_loss": [(row["step"], row["loss"]) for row in rows if "loss" in row],
        "val_loss": [(row["step"], row["eval_loss"]) for row in rows if "eval_loss" in row],
        "val_accuracy": [(row["step"], row["eval_accuracy"]) for row in rows if "eval_accuracy" in row],
        "lr": [(row["step"], row["learning_rate"]) for row in rows if "learning_rate" in row],
    }
    last = sorted(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))[-1]
    roles: list[Role] = ["train_loss", "val_loss", "val_accuracy", "lr"]
    for source in (last / "trainer_state.json", last, tmp_path, rows, trainer.state):
        history = one(source)
        for role in roles:
            assert np.allclose(points(history, role), expected[role]), role
    # What it prints has fewer digits, and epochs instead of steps.
    (tmp_path / "train.log").write_text(printed.getvalue())
    history = one(tmp_path / "train.log")
    for role in roles[:3]:
        assert np.allclose(values(history, role), [v for _, v in expected[role]], rtol=1e-3), role


# --- Keras ----------------------------------------------------------------------------------------------


def progress(keras: Any, history: dict[str, list[float]]) -> str:
    """What its progress bar prints of these numbers; its fit() cannot show one in each version on torch."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for epoch in range(3):
            print(f"Epoch {epoch + 1}/3")
            bar = keras.utils.Progbar(4, stateful_metrics=list(history), interval=0)
            for batch in range(1, 4):
                bar.update(batch, [(name, 9.0) for name in ("accuracy", "loss")])
            bar.update(4, [(name, column[epoch]) for name, column in history.items()], finalize=True)
    return printed.getvalue()


def test_keras(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((X.shape[1],)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss=loss, metrics=["accuracy"])

    def plain(epoch: int, logs: dict[str, Any]) -> None:
        """Its logger cannot write the tensors that some versions pass on torch."""
        logs.update({name: float(value) for name, value in logs.items()})

    callbacks = [
        keras.callbacks.LambdaCallback(on_epoch_end=plain),
        keras.callbacks.CSVLogger(str(tmp_path / "keras.csv")),
    ]
    data = (X.numpy(), LABELS.numpy())
    kept = model.fit(*data, validation_data=data, epochs=3, batch_size=4, verbose=0, callbacks=callbacks)
    (tmp_path / "printed.log").write_text(progress(keras, kept.history), newline="")
    (tmp_path / "keras.json").write_text(json.dumps(kept.history))
    names: dict[Role, str] = {"train_loss": "loss", "val_loss": "val_loss", "train_accuracy": "accuracy"}
    names["val_accuracy"] = "val_accuracy"
    for source in (
        kept,
        kept.history,
        tmp_path / "keras.csv",
        tmp_path / "keras.json",
        tmp_path / "printed.log",
    ):
        history = one(source)
        for role, name in names.items():
            close = 1e-3 if source == tmp_path / "printed.log" else 1e-9
            assert np.allclose(values(history, role), kept.history[name], rtol=close, atol=close), (
                source,
                role,
            )
    assert one(kept).curves["val_loss"].steps.tolist() == [1, 2, 3]
    assert one(tmp_path / "printed.log").curves["val_loss"].steps.tolist() == [1, 2, 3]


# --- TensorBoard ----------------------------------------------------------------------------------------


def writer(folder: Path) -> Any:
    worlds.library("tensorboard")
    return worlds.library("torch.utils.tensorboard").SummaryWriter(str(folder))


def test_tensorboard(tmp_path: Path) -> None:
    with writer(tmp_path / "run") as log:
        for step in range(0, 2000, 10):
            log.add_scalar("Loss/train", 1 / (step + 1), step)
            log.add_scalar("lr", 0.1, step)
            log.add_histogram("weights", np.arange(3.0), step)
        for step in range(0, 2000, 100):
            log.add_scalar("Loss/val", 2.0 if step else math.nan, step)
            log.add_scalar("Accuracy/val", step / 20, step)
    [file] = (tmp_path / "run").iterdir()
    for source in (tmp_path / "run", file, tmp_path):
        history = one(source)
        assert np.allclose(points(history, "train_loss"), [(s, 1 / (s + 1)) for s in range(0, 2000, 10)])
        assert math.isnan(values(history, "val_loss")[0])
        assert points(history, "val_loss")[1:] == [(float(s), 2.0) for s in range(100, 2000, 100)]
        assert np.allclose(points(history, "val_accuracy"), [(s, s / 2000) for s in range(0, 2000, 100)])
        assert history.unit == "step"


def test_tensorboard_folders(tmp_path: Path) -> None:
    for seed in (0, 1):
        with writer(tmp_path / f"l2_seed{seed}") as log:
            for step in range(3):
                log.add_scalars("loss", {"train": seed + step, "valid": seed + 2 * step}, step)
    found = read(tmp_path)
    assert [(h.arm, h.run) for h in found] == [("l2", "0"), ("l2", "1")]
    assert points(found[1], "val_loss") == [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]
    assert points(found[1], "train_loss") == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


def test_tensorboard_of_newer_writers(tmp_path: Path) -> None:
    """Tensors instead of simple values, in folders train and validation, as Keras writes them on TensorFlow."""
    worlds.library("tensorboard")
    event_pb2 = worlds.library("tensorboard.compat.proto.event_pb2")
    metadata = worlds.library("tensorboard.plugins.scalar.metadata").create_summary_metadata("", "")
    summary_pb2 = worlds.library("tensorboard.compat.proto.summary_pb2")
    make_tensor_proto = worlds.library("tensorboard.util.tensor_util").make_tensor_proto
    record = worlds.library("tensorboard.summary.writer.event_file_writer").EventFileWriter
    for name, add in (("train", 0.0), ("validation", 1.0)):
        out = record(str(tmp_path / name))
        for step in range(3):
            value = summary_pb2.Summary.Value(
                tag="epoch_loss", tensor=make_tensor_proto(add + step, np.float32), metadata=metadata
            )
            out.add_event(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value])))
        out.close()
    history = one(tmp_path)
    assert points(history, "train_loss") == [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]
    assert points(history, "val_loss") == [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]


def test_tensorboard_of_a_killed_run(tmp_path: Path) -> None:
    with writer(tmp_path) as log:
        for step in range(100):
            log.add_scalar("loss", step, step)
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-10])
    assert 90 <= len(one(tmp_path).curves["train_loss"]) < 100


# --- skorch, pandas -------------------------------------------------------------------------------------


def test_skorch(tmp_path: Path) -> None:
    skorch = worlds.library("skorch")
    net = skorch.NeuralNetClassifier(
        nn.Sequential(nn.Linear(X.shape[1], 2), nn.Softmax(-1)), max_epochs=3, batch_size=4, lr=0.05
    )
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        net.fit(X.numpy(), LABELS.numpy())
    (tmp_path / "printed.log").write_text(printed.getvalue())
    net.history.to_file(str(tmp_path / "history.json"))
    names: dict[Role, str] = {
        "train_loss": "train_loss",
        "val_loss": "valid_loss",
        "val_accuracy": "valid_acc",
    }
    for source in (net, net.history, tmp_path / "history.json", tmp_path / "printed.log"):
        history = one(source)
        assert history.unit == "epoch"
        for role, name in names.items():
            assert np.allclose(values(history, role), net.history[:, name], atol=1e-4), (source, role)


def test_pandas() -> None:
    pandas = worlds.library("pandas")
    frame = pandas.DataFrame(
        {"loss": [0.5, 0.4], "val_loss": [0.6, math.nan], "run": ["a", "b"]}, index=[10, 20]
    )
    frame.index.name = "step"
    first, second = read(frame)
    assert (first.arm, second.arm) == ("a", "b")
    assert points(first, "val_loss") == [(10.0, 0.6)]
    assert points(second, "train_loss") == [(20.0, 0.4)]
    assert "val_loss" not in second.curves


def test_nothing_heavy_is_loaded_by_the_readers() -> None:
    """Event files are rare: the library is imported where one is read."""
    code = "import sys, ridgeline.diagnosis.readers; print('tensorboard' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
