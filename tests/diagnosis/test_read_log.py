"""Printed logs, as people's loops and libraries print them."""

import math
from pathlib import Path

import pytest

from ridgeline.diagnosis import History, Role, read
from ridgeline.diagnosis.readers._bars import last_of_bars
from ridgeline.diagnosis.readers._line import Line, parse
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import Points, file, one, points

Curves = dict[Role, Points]

LOGS: dict[str, tuple[str, str, Curves]] = {
    "two steps in one word": (
        "step/epoch:10/0,Train Loss: 5.19, Acc: [0.34]\nstep/epoch:20/0,Train Loss: 4.5, Acc: [0.5]\n"
        "step/epoch:30/1,Train Loss: 4.0, Acc: [0.75]\n",
        "step",
        {
            "train_loss": [(10, 5.19), (20, 4.5), (30, 4.0)],
            "train_accuracy": [(10, 0.34), (20, 0.5), (30, 0.75)],
        },
    ),
    "words and commas": (
        "epoch 2, loss 0.0025, train acc 0.8, test acc 0.81\n"
        "epoch 3, loss 0.0019, train acc 0.825, test acc 0.834\n",
        "epoch",
        {
            "train_loss": [(2, 0.0025), (3, 0.0019)],
            "train_accuracy": [(2, 0.8), (3, 0.825)],
            "val_accuracy": [(2, 0.81), (3, 0.834)],
        },
    ),
    "is": (
        "Iter [ 99/30000]: train acc is: 0.5 train loss is: 1.25 valid acc is: 0.25 valid loss is: 1.5\n"
        "Iter [199/30000]: train acc is: 0.75 train loss is: 1.0 valid acc is: 0.5 valid loss is: 1.75\n",
        "step",
        {
            "train_loss": [(99, 1.25), (199, 1.0)],
            "train_accuracy": [(99, 0.5), (199, 0.75)],
            "val_loss": [(99, 1.5), (199, 1.75)],
            "val_accuracy": [(99, 0.25), (199, 0.5)],
        },
    ),
    "no step": (
        "train accuracy 0.892 test accuracy 0.874\ntrain accuracy 0.9 test accuracy 0.88\n",
        "row",
        {"train_accuracy": [(1, 0.892), (2, 0.9)], "val_accuracy": [(1, 0.874), (2, 0.88)]},
    ),
    "tqdm over batches": (
        "".join(
            f"Epoch {e}:  50%|█████     | 50/100 [00:01<00:01, 48.0it/s, v_num=3, loss=9.9]\r"
            f"Epoch {e}: 100%|██████████| 100/100 [00:02<00:00, 48.0it/s, v_num=3, loss=0.{e}, val_loss=1.{e}]\n"
            for e in (1, 2)
        ),
        "epoch",
        {"train_loss": [(1, 0.1), (2, 0.2)], "val_loss": [(1, 1.1), (2, 1.2)]},
    ),
    "tqdm over steps": (
        " 10%|█         | 100/1000 [00:01<00:10, 90.1it/s, loss=0.5]\r"
        " 20%|██        | 200/1000 [00:02<00:09, 90.2it/s, loss=0.4]",
        "step",
        {"train_loss": [(100, 0.5), (200, 0.4)]},
    ),
    "Keras 2": (
        "Epoch 1/2\n1875/1875 [==============================] - 3s 2ms/step - loss: 0.5 - accuracy: 0.75 - "
        "val_loss: 0.4 - val_accuracy: 0.8\nEpoch 2/2\n"
        " 900/1875 [======>.......] - ETA: 1s - loss: 0.9 - accuracy: 0.1\b\b\b\r"
        "1875/1875 [==============================] - 3s 2ms/step - loss: 0.25 - accuracy: 0.9 - "
        "val_loss: 0.3 - "
        "val_accuracy: 0.85\n",
        "epoch",
        {
            "train_loss": [(1, 0.5), (2, 0.25)],
            "val_loss": [(1, 0.4), (2, 0.3)],
            "train_accuracy": [(1, 0.75), (2, 0.9)],
            "val_accuracy": [(1, 0.8), (2, 0.85)],
        },
    ),
    "Keras 3 in colours": (
        "Epoch 1/2\n\x1b[1m 1/9\x1b[0m \x1b[32m━\x1b[0m\x1b[37m━━━\x1b[0m \x1b[1m0s\x1b[0m 5ms/step - "
        "loss: 2.0\r"
        "\x1b[1m9/9\x1b[0m \x1b[32m━━━━\x1b[0m \x1b[1m1s\x1b[0m 5ms/step - loss: 1.0 - val_loss: 1.5\n"
        "Epoch 2/2\n\x1b[1m9/9\x1b[0m \x1b[32m━━━━\x1b[0m \x1b[1m1s\x1b[0m 5ms/step - loss: 0.5 - "
        "val_loss: 1.25\n"
        "Epoch 2: val_loss improved from 1.50000 to 1.25000, saving model to best.keras\n",
        "epoch",
        {"train_loss": [(1, 1.0), (2, 0.5)], "val_loss": [(1, 1.5), (2, 1.25)]},
    ),
    "Keras without bars": (
        "Epoch 3/10\n7500/7500 - 3s - loss: 0.3 - val_loss: 0.4 - 3s/epoch - 2ms/step\nEpoch 4/10\n"
        "7500/7500 - 3s - loss: 0.25 - val_loss: 0.5 - 3s/epoch - 2ms/step\n",
        "epoch",
        {"train_loss": [(3, 0.3), (4, 0.25)], "val_loss": [(3, 0.4), (4, 0.5)]},
    ),
    "fastai": (
        "epoch     train_loss  valid_loss  accuracy  time    \n"
        "0         0.75        0.5         0.875     00:12     \n"
        "1         0.5         0.625       0.9       00:12     \n",
        "epoch",
        {
            "train_loss": [(0, 0.75), (1, 0.5)],
            "val_loss": [(0, 0.5), (1, 0.625)],
            "val_accuracy": [(0, 0.875), (1, 0.9)],
        },
    ),
    "skorch": (
        "  epoch    train_loss    valid_acc    valid_loss     dur\n"
        "-------  ------------  -----------  ------------  ------\n"
        "      1        \x1b[36m0.75\x1b[0m       \x1b[32m0.5\x1b[0m        \x1b[35m0.625\x1b[0m  0.0523\n"
        "      2        0.5       0.75        0.65  0.0523\n",
        "epoch",
        {
            "train_loss": [(1, 0.75), (2, 0.5)],
            "val_loss": [(1, 0.625), (2, 0.65)],
            "val_accuracy": [(1, 0.5), (2, 0.75)],
        },
    ),
    "a table in bars": (
        "| epoch | loss | val loss |\n|-------|------|----------|\n| 1 | 0.5 | 0.75 |\n| 2 | 0.25 | 0.5 |\n",
        "epoch",
        {"train_loss": [(1, 0.5), (2, 0.25)], "val_loss": [(1, 0.75), (2, 0.5)]},
    ),
    "batches of an epoch and a test": (
        "".join(
            f"Train Epoch: {e} [0/60000 (0%)]\tLoss: {e}.5\nTrain Epoch: {e} [30000/60000 (50%)]\tLoss: {e}.25\n\n"
            f"Test set: Average loss: 0.0{e}, Accuracy: 9{e}00/10000 (9{e}%)\n\n"
            for e in (1, 2)
        ),
        "epoch",
        {
            "train_loss": [(0, 1.5), (0.5, 1.25), (1, 2.5), (1.5, 2.25)],
            "val_loss": [(1, 0.01), (2, 0.02)],
            "val_accuracy": [(1, 0.91), (2, 0.92)],
        },
    ),
    "phases under a heading": (
        "Epoch 0/24\n----------\ntrain Loss: 0.5 Acc: 0.75\nval Loss: 0.25 Acc: 0.9\n\n"
        "Epoch 1/24\n----------\ntrain Loss: 0.4 Acc: 0.8\nval Loss: 0.3 Acc: 0.85\n",
        "epoch",
        {
            "train_loss": [(0, 0.5), (1, 0.4)],
            "val_loss": [(0, 0.25), (1, 0.3)],
            "train_accuracy": [(0, 0.75), (1, 0.8)],
            "val_accuracy": [(0, 0.9), (1, 0.85)],
        },
    ),
    "bare places": (
        "[1,  2000] loss: 2.173\n[1,  4000] loss: 1.875\n[2,  2000] loss: 1.75\n[2,  4000] loss: 1.5\n"
        "Finished Training\n",
        "step",
        {"train_loss": [(2000, 2.173), (4000, 1.875), (6000, 1.75), (8000, 1.5)]},
    ),
    "boosting": (
        "[0]\ttrain-rmse:0.61\teval-rmse:0.65\n[1]\ttrain-rmse:0.5\teval-rmse:0.625\n",
        "step",
        {"train_loss": [(0, 0.61), (1, 0.5)], "val_loss": [(0, 0.65), (1, 0.625)]},
    ),
    "meters": (
        "Epoch: [0][  0/100]\tTime  0.5 ( 0.6)\tLoss 7.0e+00 (6.5e+00)\tAcc@1   0.00 (  0.20)\tAcc@5   "
        "1.56 (  1.60)\n"
        "Epoch: [0][ 50/100]\tTime  0.5 ( 0.6)\tLoss 6.0e+00 (6.4e+00)\tAcc@1   2.00 (  1.20)\tAcc@5   "
        "1.56 (  1.60)\n"
        "Test: [ 0/10]\tTime  1.0 ( 1.0)\tLoss 5.0e+00 (5.5e+00)\tAcc@1  10.00 (  9.00)\tAcc@5  60.0 ( "
        "61.0)\n",
        "epoch",
        {
            "train_loss": [(0, 7.0), (0.5, 6.0)],
            "val_loss": [(1, 5.5)],
            "train_accuracy": [(0, 0.0), (0.5, 0.02)],
            "val_accuracy": [(1, 0.09)],
        },
    ),
    "dicts as Python prints them": (
        "{'loss': 0.5, 'grad_norm': 1.25, 'learning_rate': 5e-05, 'epoch': 0.5}\n"
        "{'eval_loss': 0.6, 'eval_runtime': 1.2, "
        "'epoch': 0.5}\n{'loss': '0.4', 'epoch': '1.0'}\n{'eval_loss': '0.55', 'epoch': '1.0'}\n"
        "{'train_runtime': 9.9, 'train_loss': 0.45, 'epoch': 1.0}\n",
        "epoch",
        {"train_loss": [(0.5, 0.5), (1, 0.4)], "val_loss": [(0.5, 0.6), (1, 0.55)], "lr": [(0.5, 5e-05)]},
    ),
    "a logger's lines": (
        "2031-05-01 12:00:01,123 - INFO - trainer.py:42 - epoch 1 | train loss 0.5 acc 90.5% | val loss "
        "0.6 acc 88.0% | best val "
        "loss 0.1\n2031-05-01 12:00:02,124 - INFO - trainer.py:42 - epoch 2 | train loss 0.4 acc 91.0% "
        "| val loss 0.7 acc 87.5%\n",
        "epoch",
        {
            "train_loss": [(1, 0.5), (2, 0.4)],
            "val_loss": [(1, 0.6), (2, 0.7)],
            "train_accuracy": [(1, 0.905), (2, 0.91)],
            "val_accuracy": [(1, 0.88), (2, 0.875)],
        },
    ),
    "thousands": (
        "step 1,000: loss 0.5\nstep 2,000: loss 0.25\n",
        "step",
        {"train_loss": [(1000, 0.5), (2000, 0.25)]},
    ),
    "equal signs": (
        "epoch=1 train_loss=0.5 val_loss=0.6 lr=1e-3\nepoch=2 train_loss=0.4 val_loss=0.7 lr=1e-4\n",
        "epoch",
        {"train_loss": [(1, 0.5), (2, 0.4)], "val_loss": [(1, 0.6), (2, 0.7)], "lr": [(1, 1e-3), (2, 1e-4)]},
    ),
    "a step before a split": (
        "Step 100: train: loss 0.5 acc 0.75 | valid: loss 0.6 acc 0.7\n"
        "Step 200: train: loss 0.4 acc 0.8 | valid: loss 0.5 acc 0.75\n",
        "step",
        {
            "train_loss": [(100, 0.5), (200, 0.4)],
            "val_loss": [(100, 0.6), (200, 0.5)],
            "train_accuracy": [(100, 0.75), (200, 0.8)],
            "val_accuracy": [(100, 0.7), (200, 0.75)],
        },
    ),
    "names in the order of the alphabet": (
        "epoch: 1, eval_accuracy: 0.5, eval_loss: 0.6, loss: 0.5, accuracy: 0.75\n"
        "epoch: 2, eval_accuracy: 0.25, eval_loss: 0.7, loss: 0.4, accuracy: 0.8\n",
        "epoch",
        {
            "train_loss": [(1, 0.5), (2, 0.4)],
            "val_loss": [(1, 0.6), (2, 0.7)],
            "train_accuracy": [(1, 0.75), (2, 0.8)],
            "val_accuracy": [(1, 0.5), (2, 0.25)],
        },
    ),
    "one metric, two splits": (
        "epoch 1 loss: train 0.5, val 0.6\nepoch 2 loss: train 0.4, val 0.7\n",
        "epoch",
        {"train_loss": [(1, 0.5), (2, 0.4)], "val_loss": [(1, 0.6), (2, 0.7)]},
    ),
}


def curves(history: History) -> Curves:
    return {role: points(history, role) for role in history.curves}


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_logs(tmp_path: Path, name: str, end: str) -> None:
    text, unit, expected = LOGS[name]
    path = file(tmp_path, "train.log", text.replace("\n", end))
    history = one(path)
    assert curves(history) == expected
    assert history.unit == unit
    assert curves(read(path, format="log")[0]) == expected


@pytest.mark.parametrize("suffix", [".txt", ".out", ".csv", ""])
@pytest.mark.parametrize(
    "name", ["two steps in one word", "words and commas", "boosting", "a logger's lines", "fastai"]
)
def test_a_log_is_a_log_whatever_its_name(tmp_path: Path, name: str, suffix: str) -> None:
    text, _, expected = LOGS[name]
    assert curves(one(file(tmp_path, "train" + suffix, text))) == expected


@pytest.mark.parametrize(
    "line",
    [
        "val_loss improved from 0.5 to 0.4",
        "best val loss: 0.4",
        "val_loss did not improve from 0.4",
        "Total params: 1,234",
        "loss scale: 65536",
        "Train on 60000 samples, validate on 10000 samples",
        "grad norm 1.25",
        "2031-05-01 12:00:01",
        "lowest loss so far 0.3",
        "val time 3.5",
    ],
)
def test_lines_without_a_metric(line: str) -> None:
    assert parse(line).values == {}


def test_nan_and_infinity_are_read(tmp_path: Path) -> None:
    history = one(
        file(
            tmp_path,
            "log.txt",
            "epoch 1 loss 0.5\nepoch 2 loss: inf\nepoch 3 loss=NaN\nepoch 4 nanny info 3\n",
        )
    )
    values = history.curves["train_loss"].values
    assert values[1] == math.inf
    assert math.isnan(values[2])
    assert len(values) == 3


def test_a_bar_counts_at_its_end() -> None:
    def state(epoch: int, loss: float, **more: float) -> Line:
        return Line({"loss": loss, **more}, {"epoch": float(epoch)}, share=(1.0, 2.0), is_bar=True)

    rows = [
        state(1, 9.0),
        state(1, 1.0),
        Line({"val loss": 2.0}, {"epoch": 1.0}),
        state(2, 8.0),
        state(2, 0.5, acc=1.0),
    ]
    assert [line.values.get("loss") for line in last_of_bars(rows)] == [1.0, None, 0.5]


def test_given_names(tmp_path: Path) -> None:
    path = file(tmp_path, "log.txt", "it 10 energy: 0.5 held: 0.7\nit 20 energy: 0.4 held: 0.8\n")
    history = one(path, {"train_loss": "energy", "val_loss": "held"})
    assert curves(history) == {"train_loss": [(10, 0.5), (20, 0.4)], "val_loss": [(10, 0.7), (20, 0.8)]}


def test_a_resumed_log(tmp_path: Path) -> None:
    rows = [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.75), (3, 0.65)]
    history = one(file(tmp_path, "log.txt", "".join(f"epoch {e} loss {loss}\n" for e, loss in rows)))
    assert points(history, "train_loss") == [(1, 0.9), (2, 0.75), (3, 0.65)]
    assert "the log was resumed" in history.notes[0]


def test_no_metric_in_any_line(tmp_path: Path) -> None:
    with pytest.raises(
        RidgelineError, match=r"log\.txt, line 2: looked for lines with .*, the first is 'hello'; give"
    ):
        read(file(tmp_path, "log.txt", "\nhello\nworld 3\n"))


def test_scores_named_by_their_split_are_not_the_loss_before_them(tmp_path: Path) -> None:
    """As PyTorch Geometric's examples print: the scores have no name of their own."""
    text = "\n".join(
        f"Epoch: {i:03d}, Loss: {1 / i:.4f}, Train: 0.{i + 40}, Val: 0.{i + 30}" for i in range(1, 30)
    )
    path = tmp_path / "gcn.log"
    path.write_text(text)
    [found] = read(path)
    assert found.curves.keys() == {"train_loss"}
    assert found.curves["train_loss"].values[1] == 0.5
