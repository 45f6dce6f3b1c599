"""Columns are recognised by name, chosen in a stated order, and the choice is said."""

import math

import pytest

from ridgeline.diagnosis import Role, read
from ridgeline.diagnosis.readers._names import recognise
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import one, points

ROLE_OF: list[tuple[Role, str]] = [
    *(
        ("train_loss", name)
        for name in ("loss", "train/loss", "training_loss", "train_loss_epoch", "Train Loss")
    ),
    *(
        ("train_loss", name)
        for name in ("trainLoss", "Training Loss", "tr_loss", "TrainingLoss", "train-mse", "nll")
    ),
    *(
        ("train_loss", name)
        for name in ("mean_squared_error", "trainloss", "epoch_loss", "cross-entropy", "objective")
    ),
    *(
        ("val_loss", name)
        for name in ("val_loss", "valid loss", "valid_loss", "Validation Loss", "dev_loss", "eval_loss")
    ),
    *(
        ("val_loss", name)
        for name in (
            "eval/loss",
            "test_loss",
            "valLoss",
            "loss/val",
            "testloss",
            "held-out loss",
            "train/val_loss",
        )
    ),
    *(
        ("val_loss", name)
        for name in ("valid_1's l2 loss", "metrics/val_loss", "val_rmse", "val_binary_crossentropy")
    ),
    *(
        ("train_accuracy", name)
        for name in ("accuracy", "acc", "top1", "acc@1", "train_acc", "binary_accuracy")
    ),
    *(
        ("val_accuracy", name)
        for name in ("val_acc", "val_top-1", "test accuracy", "eval_accuracy", "dev/acc1")
    ),
]
BESIDE: list[tuple[Role, str]] = [
    *(("penalty", name) for name in ("penalty", "reg_loss", "regularization loss", "ours/penalty")),
    *(("lr", name) for name in ("lr", "learning_rate", "lr-Adam", "train/learning_rate")),
]
NO_CURVE = [
    "grad_norm",
    "val_loss_best",
    "best_val_loss",
    "min_loss",
    "loss_scale",
    "eval_runtime",
    "weight_norm",
    "time",
]
NO_CURVE += [
    "val_loss_std",
    "top5",
    "val_acc@5",
    "val_f1",
    "auc",
    "x",
    "",
    "loss/weight",
    "steps_per_second",
    "train_samples",
]


@pytest.mark.parametrize(("role", "name"), ROLE_OF)
def test_recognised(role: Role, name: str) -> None:
    history = one({name: [0.5, 0.25]})
    assert points(history, role) == [(1.0, 0.5), (2.0, 0.25)]
    assert set(history.curves) == {role}


# A penalty or a rate alone is no history to judge.
@pytest.mark.parametrize(("role", "name"), BESIDE)
def test_penalty_and_rate(role: Role, name: str) -> None:
    history = one({name: [0.5, 0.25], "loss": [2.0, 1.0]})
    assert points(history, role) == [(1.0, 0.5), (2.0, 0.25)]
    with pytest.raises(RidgelineError, match="looked for a loss or an accuracy"):
        read({name: [0.5, 0.25]})


@pytest.mark.parametrize("name", NO_CURVE)
def test_not_recognised(name: str) -> None:
    found = recognise(name)
    assert found is None or found.kind == "step"


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("train_loss", "loss"),
        ("loss", "loss_ema"),
        ("loss", "train_loss_smoothed"),
        ("loss", "train_running_loss"),
        ("loss", "train_mean_loss"),
        ("train_mean_loss", "train_loss_cumulative"),
        ("train_loss", "train_loss_epoch"),
        ("train_loss_epoch", "train_loss_step"),
        ("loss", "batch_loss"),
        ("loss", "box_loss"),
        ("loss", "train_actor_loss"),
    ],
)
def test_order_of_training_losses(taken: str, left: str) -> None:
    for names in ((taken, left), (left, taken)):
        history = one({name: [float(place), 0.0] for place, name in enumerate(names)})
        assert history.curves["train_loss"].column == taken
        assert history.notes[0] == f"train_loss is {taken!r}, not {left!r}"


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("val_loss", "dev_loss"),
        ("dev_loss", "eval_loss"),
        ("eval_loss", "test_loss"),
        ("val_loss", "val_loss_ema"),
    ],
)
def test_order_of_held_out_losses(taken: str, left: str) -> None:
    for names in ((taken, left), (left, taken)):
        assert one({name: [1.0, 0.5] for name in names}).curves["val_loss"].column == taken


def test_a_column_without_numbers_is_not_taken() -> None:
    history = one([{"train_loss": None, "loss": 0.5}, {"train_loss": None, "loss": 0.4}])
    assert history.curves["train_loss"].column == "loss"


def test_a_smoothed_column_alone_is_taken_and_said() -> None:
    assert "smoothed or cumulative" in one({"val_loss_ema": [1.0, 2.0]}).notes[0]


def test_test_data_stand_in_for_validation() -> None:
    history = one({"loss": [1.0, 0.5], "test_loss": [1.0, 0.6]})
    assert points(history, "val_loss") == [(1.0, 1.0), (2.0, 0.6)]
    assert "test data stand in" in history.notes[0]
    both = one({"loss": [1.0, 0.5], "test_loss": [1.0, 0.6], "val_loss": [1.0, 0.7]})
    assert both.curves["val_loss"].column == "val_loss"
    assert not any("stand in" in note for note in both.notes)


def test_plain_accuracy_is_held_out_where_the_losses_are_named() -> None:
    fastai = one({"train_loss": [1.0], "valid_loss": [1.0], "accuracy": [0.5]})
    assert set(fastai.curves) == {"train_loss", "val_loss", "val_accuracy"}
    keras = one({"loss": [1.0], "val_loss": [1.0], "accuracy": [0.5], "val_accuracy": [0.25]})
    assert points(keras, "train_accuracy") == [(1.0, 0.5)]
    assert points(keras, "val_accuracy") == [(1.0, 0.25)]


def test_losses_of_one_kind_are_compared() -> None:
    history = one({"train_mse": [1.0], "val_loss": [5.0], "val_mse": [1.5]})
    assert history.curves["val_loss"].column == "val_mse"
    mixed = one({"train_mse": [1.0], "val_loss": [5.0]})
    assert "different kinds" in mixed.notes[-1]


@pytest.mark.parametrize(
    ("values", "shares"), [([50.0, 90.0], [0.5, 0.9]), ([0.5, 1.0], [0.5, 1.0]), ([0, 1], [0.0, 1.0])]
)
def test_accuracies_are_shares(values: list[float], shares: list[float]) -> None:
    history = one({"val_acc": values})
    assert history.curves["val_accuracy"].values.tolist() == shares
    assert ("percent" in " ".join(history.notes)) == (max(values) > 1)


def test_errors_are_turned_round() -> None:
    history = one({"train_error": [0.5, 0.25], "val_err": [60.0, 40.0]})
    assert history.curves["train_accuracy"].values.tolist() == [0.5, 0.75]
    assert history.curves["val_accuracy"].values.tolist() == pytest.approx([0.4, 0.6])
    assert "train_accuracy is 1 − 'train_error'" in history.notes


def test_counts_are_no_accuracy() -> None:
    history = one({"loss": [1.0, 0.5], "acc": [3000.0, 4000.0]})
    assert set(history.curves) == {"train_loss"}
    assert "left out" in history.notes[0]
    with pytest.raises(RidgelineError, match="neither shares nor percentages"):
        read({"acc": [3000.0, 4000.0]})


def test_perplexity_is_the_exponential_of_a_loss() -> None:
    history = one({"train_ppl": [math.e, 1.0], "val_perplexity": [math.e**2, 0.0]})
    assert history.curves["train_loss"].values.tolist() == pytest.approx([1.0, 0.0])
    assert history.curves["val_loss"].values[0] == pytest.approx(2.0)
    assert math.isnan(history.curves["val_loss"].values[1])


def test_given_columns_win() -> None:
    source = {"a": [1.0, 0.5], "loss": [3.0, 2.0], "val_loss": [4.0, 4.0], "B ": [10.0, 90.0]}
    history = one(source, {"train_loss": "a", "val_accuracy": "b"})
    assert history.curves["train_loss"].values.tolist() == [1.0, 0.5]
    assert history.curves["val_loss"].values.tolist() == [4.0, 4.0]
    assert history.curves["val_accuracy"].values.tolist() == [0.1, 0.9]


def test_wrong_columns_are_refused() -> None:
    with pytest.raises(
        RidgelineError, match=r"no column 'vloss' for val_loss; found 'a', 'loss'; give one of these"
    ):
        read({"a": [1.0], "loss": [3.0]}, columns={"val_loss": "vloss"})
    with pytest.raises(RidgelineError, match="'vall_loss' is no curve; did you mean 'val_loss'"):
        read({"a": [1.0]}, columns={"vall_loss": "a"})  # type: ignore[dict-item]
