"""Solo: a person's own models and Datasets, and a study's stored weights."""

import dataclasses
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from ridgeline import Splits, Study
from ridgeline.data import draw
from ridgeline.lanes import train
from ridgeline.noise import Clock
from ridgeline.study._programs import build_model, load_data
from tests.engines.worlds import CPU, classes, column, loaded, named, own, program, rows, same, trained


class Listed(Dataset[Any]):
    """A map-style Dataset over arrays."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], int(self.y[index])


def normalized() -> nn.Module:
    """A model with batch normalization and plain dropout layers."""
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


@pytest.mark.parametrize("with_val", [True, False])
def test_a_streamed_dataset_trains_as_the_same_arrays_do(with_val: bool) -> None:
    x, y = rows(40, 6, 1), torch.arange(40) % 3
    held = (x[:9] + 0.1, y[:9])
    in_memory = Splits(train=(x, y), val=held if with_val else None)
    streamed = Splits(train=Listed(x, y), val=Listed(*held) if with_val else None)
    a, b = (trained(draw(lambda seed, s=s: s, 4)) for s in (in_memory, streamed))  # type: ignore[misc]
    assert same(a, b)
    assert column(a, "train_loss")[-1] != column(a, "train_loss")[0]


def test_batch_normalization_trains_and_evaluates_by_its_running_statistics() -> None:
    built = program(classes(n_train=40), own(normalized), foreign=True)
    outcome = train(built, CPU)
    assert same(outcome, train(built, CPU))
    assert int(outcome.weights["1.num_batches_tracked"]) == 20
    x, y = built.data.val.batch(torch.arange(23))
    with torch.no_grad():
        hits = loaded(built, outcome.weights)(x).argmax(1) == y
    assert outcome.last["val"].accuracy == float(hits.double().mean())


def test_dropout_layers_of_a_persons_model_are_drawn_by_the_seed_alone() -> None:
    by_engine, seeded = (trained(classes(n_train=40), own(normalized), foreign=f) for f in (False, True))
    assert same(by_engine, seeded)
    silent = trained(classes(n_train=40), own(normalized, dropout=0.0))
    assert silent.curves["batch_loss"][1] != seeded.curves["batch_loss"][1]


def test_stored_weights_give_the_stored_accuracy_and_a_diverged_arm_stands_alone(tmp_path: Path) -> None:
    study = Study(
        name="stored",
        data={"name": "digits", "n_train": 100},
        model={"name": "mlp", "hidden": [8]},
        train={"optimizer": "sgd", "lr": 0.5, "steps": 40},
        arms={"fine": {}, "wild": {"train.lr": 1e30}},
        seeds=2,
    )
    results = study.run(tmp_path / "run")
    by_id = {trial.trial_id: trial for trial in study.trials()}
    fine = results.trials.filter(pl.col("arm") == "fine")
    assert fine["status"].to_list() == ["done", "done"]
    for row in fine.to_dicts():
        trial = by_id[row["trial_id"]]
        data = load_data(trial.sections["data"], trial.seed, None)
        model = build_model(trial.config, Clock(99), data)
        model.load_state_dict(load_file(tmp_path / "run" / "weights" / f"{trial.trial_id}.safetensors"))
        x, y = data.val.batch(torch.arange(len(data.val)))
        hits = model.eval()(x).argmax(1) == y
        assert row["final_val_accuracy"] == float(hits.double().mean())
        assert row["final_val_accuracy"] > 0.4
    wild = results.trials.filter(pl.col("arm") == "wild")
    assert wild["status"].to_list() == ["diverged", "diverged"]
    assert max(wild["steps"].to_list()) < 40
    for name in ("final_val_loss", "final_val_accuracy", "best_val_loss", "best_step"):
        assert wild[name].null_count() == 2
    assert set(results.predictions["trial_id"]) == set(fine["trial_id"])


def test_the_validation_set_is_not_trained_on() -> None:
    data = classes()
    x, y = data.val.batch(torch.arange(len(data.val)))
    other = dataclasses.replace(data, val=type(data.val)(x + 1.0, y, data.val.ids))  # type: ignore[arg-type]
    a, b = (trained(d, named("mlp", hidden=[7])) for d in (data, other))
    assert all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
    assert a.curves["val_loss"] != b.curves["val_loss"]


class Jittered(Dataset[tuple[torch.Tensor, int]]):
    """Examples that differ whenever they are read."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return torch.randn(3), place % 2


def jittered() -> Splits:
    """Splits of such examples."""
    return Splits(train=Jittered(), val=Jittered())


def test_a_dataset_that_draws_at_random_gives_the_same_curve_twice(tmp_path: Path) -> None:
    study = Study(
        name="jittered",
        data={"factory": f"{__name__}:jittered"},
        model={"name": "linear"},
        train={"lr": 0.01, "steps": 4},
    )
    curves = []
    for place in ("a", "b"):
        torch.rand(1)  # whoever calls us has drawn
        curves.append(study.run(tmp_path / place).curves)
    assert curves[0].equals(curves[1])
