"""CSV of every kind: delimiters, sparse rows, exports, runs and arms, steps that begin again."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ridgeline.diagnosis import read
from ridgeline.errors import RidgelineError
from tests.diagnosis.readers import file, one, points


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ", ", " ; "])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, end: str) -> None:
    rows = (["epoch", "loss", "val_loss"], ["1", "0.5", "0.6"], ["2", "4e-1", "0.7"])
    history = one(file(tmp_path, "log.csv", end.join(delimiter.join(row) for row in rows) + end))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    assert points(history, "val_loss") == [(1.0, 0.6), (2.0, 0.7)]
    assert (history.unit, history.run, history.arm, history.notes) == ("epoch", "log.csv", "", ())


def test_decimal_commas(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "epoch;loss\n1;0,5\n2;1\n3;0,25\n"))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 1.0), (3.0, 0.25)]


def test_empty_cells_say_nothing_and_nan_says_nan(tmp_path: Path) -> None:
    content = "step,loss,val_loss\n1,0.5,0.6\n2,,NA\n3,inf,-\n4,nan,0.5\n5,-inf,None\n"
    history = one(file(tmp_path, "log.csv", content))
    steps, values = zip(*points(history, "train_loss"), strict=True)
    assert steps == (1.0, 3.0, 4.0, 5.0)
    assert values[:2] == (0.5, math.inf)
    assert math.isnan(values[2])
    assert values[3] == -math.inf
    assert points(history, "val_loss") == [(1.0, 0.6), (4.0, 0.5)]


def test_nan_that_only_fills_cells_is_no_evidence(tmp_path: Path) -> None:
    rows = "".join(f"{s},{1 / s},{0.5 if s % 5 == 0 else 'nan'}\n" for s in range(1, 23))
    history = one(file(tmp_path, "log.csv", "step,loss,val_loss\n" + rows))
    assert points(history, "val_loss") == [(5.0, 0.5), (10.0, 0.5), (15.0, 0.5), (20.0, 0.5)]
    broken = one(
        file(
            tmp_path,
            "log.csv",
            "step,loss,val_loss\n" + rows + "".join(f"{s},1,nan\n" for s in range(23, 30)),
        )
    )
    assert math.isnan(broken.curves["val_loss"].values[-1])


def test_lightning_rows(tmp_path: Path) -> None:
    content = (
        "epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_acc,val_loss\n"
        ",0.01,0,,,,\n0,,4,,0.9,,\n0,,9,,,0.5,0.7\n0,,9,0.8,,,\n1,,14,,0.6,,\n1,,19,,,0.75,0.6\n1,,19,0.5,,,\n"
    )
    history = one(file(tmp_path, "metrics.csv", content))
    assert points(history, "train_loss") == [(9.0, 0.8), (19.0, 0.5)]
    assert points(history, "val_loss") == [(9.0, 0.7), (19.0, 0.6)]
    assert points(history, "val_accuracy") == [(9.0, 0.5), (19.0, 0.75)]
    assert points(history, "lr") == [(0.0, 0.01)]
    assert history.unit == "step"
    assert history.notes == ("train_loss is 'train_loss_epoch', not 'train_loss_step'",)


def test_exports_of_weights_and_biases(tmp_path: Path) -> None:
    names = [
        "Step",
        *(
            f"{run} - val/loss{end}"
            for run in ("calm-sea-1", "l2=0.1 seed 3")
            for end in ("", "__MIN", "__MAX")
        ),
    ]
    rows = ["1,0.5,9,9,0.7,9,9", "2,0.4,9,9,,9,9", "3,0.3,9,9,0.5,9,9"]
    content = ",".join(f'"{name}"' for name in names) + "\n" + "\n".join(rows)
    first, second = read(file(tmp_path, "wandb.csv", content))
    assert (first.arm, first.run, second.arm, second.run) == ("calm-sea-1", "", "l2=0.1", "3")
    assert points(first, "val_loss") == [(1.0, 0.5), (2.0, 0.4), (3.0, 0.3)]
    assert points(second, "val_loss") == [(1.0, 0.7), (3.0, 0.5)]
    assert second.curves["val_loss"].column == "val/loss"
    assert len(read(pl.read_csv(tmp_path / "wandb.csv"))) == 2


def test_runs_as_numbered_columns(tmp_path: Path) -> None:
    content = "epoch,loss_seed0,val_loss_seed0,loss_seed1,val_loss_seed1\n1,1,2,3,4\n2,5,6,7,8\n"
    first, second = read(file(tmp_path, "log.csv", content))
    assert (first.arm, first.run, second.run) == ("", "0", "1")
    assert points(first, "val_loss") == [(1.0, 2.0), (2.0, 6.0)]
    assert points(second, "train_loss") == [(1.0, 3.0), (2.0, 7.0)]


@pytest.mark.parametrize(
    ("header", "keys", "expected"),
    [
        ("arm,seed", ["a,0", "a,1", "b,0"], [("a", "0"), ("a", "1"), ("b", "0")]),
        ("seed", ["3", "4"], [("", "3"), ("", "4")]),
        ("fold", ["1", "2"], [("", "1"), ("", "2")]),
        ("run", ["0", "1"], [("", "0"), ("", "1")]),
        ("run", ["l2-seed1", "l2-seed2", "none-seed1"], [("l2", "1"), ("l2", "2"), ("none", "1")]),
        ("run", ["fast", "slow"], [("fast", ""), ("slow", "")]),
        ("trial_id", ["0", "1"], [("0", ""), ("1", "")]),
        ("trial_id,seed", ["x,0", "y,1"], [("", "0"), ("", "1")]),
        ("trial_id,seed", ["x,0", "x,1", "y,0"], [("x", "0"), ("x", "1"), ("y", "0")]),
        ("group,name", ["g,a", "g,b"], [("g, a", ""), ("g, b", "")]),
        ("name,run", ["a,7", "a,8"], [("a", "7"), ("a", "8")]),
        ("arm,seed", ["no,0.0", "1e-3,1.0"], [("no", "0.0"), ("1e-3", "1.0")]),
    ],
)
def test_arms_and_runs(tmp_path: Path, header: str, keys: list[str], expected: list[tuple[str, str]]) -> None:
    # Rows of different runs alternate: a log may be written by several at once.
    rows = [f"{key},{step},{place + step / 10}" for step in (1, 2) for place, key in enumerate(keys)]
    found = read(file(tmp_path, "log.csv", f"{header},step,loss\n" + "\n".join(rows)))
    assert [(h.arm, h.run) for h in found] == expected
    for place, history in enumerate(found):
        assert points(history, "train_loss") == [(1.0, place + 0.1), (2.0, place + 0.2)]


def test_phases_in_rows(tmp_path: Path) -> None:
    content = "epoch,phase,loss,acc\n1,train,0.5,80\n1,val,0.6,70\n2,train,0.4,90\n2,val,0.7,60\n"
    history = one(file(tmp_path, "log.csv", content))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.4)]
    assert points(history, "val_loss") == [(1.0, 0.6), (2.0, 0.7)]
    assert points(history, "val_accuracy") == [(1.0, 0.7), (2.0, 0.6)]


def test_long_tables(tmp_path: Path) -> None:
    content = "run,step,metric,value\na,1,train/loss,1\na,1,val/loss,2\nb,1,train/loss,3\na,2,train/loss,4\n"
    first, second = read(file(tmp_path, "log.csv", content))
    assert points(first, "train_loss") == [(1.0, 1.0), (2.0, 4.0)]
    assert points(first, "val_loss") == [(1.0, 2.0)]
    assert points(second, "train_loss") == [(1.0, 3.0)]


def test_resumed_logs_keep_the_last_value(tmp_path: Path) -> None:
    content = "step,loss\n1,1\n2,0.9\n3,0.8\n4,0.7\n3,0.81\n4,0.71\n5,0.6\n5,0.61\n"
    history = one(file(tmp_path, "log.csv", content))
    assert points(history, "train_loss") == [(1.0, 1.0), (2.0, 0.9), (3.0, 0.81), (4.0, 0.71), (5.0, 0.61)]
    assert history.notes == (
        "the steps went back from 4 to 3: the log was resumed, and the last value of a step was kept",
    )


def test_a_repeated_header_is_no_row(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "step,loss\n1,1\n2,0.9\nstep,loss\n2,0.8\n3,0.7\n"))
    assert points(history, "train_loss") == [(1.0, 1.0), (2.0, 0.8), (3.0, 0.7)]


def test_steps_within_epochs_are_counted_on(tmp_path: Path) -> None:
    rows = [f"{epoch},{step},{epoch * 100 + step}" for epoch in range(3) for step in (10, 20, 30)]
    history = one(file(tmp_path, "log.csv", "epoch,step,loss\n" + "\n".join(rows)))
    assert [s for s, _ in points(history, "train_loss")] == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert history.notes == ("the steps begin again in each epoch and were counted on over the epochs",)


def test_steps_within_epochs_that_nothing_counts(tmp_path: Path) -> None:
    rows = [f"{step},{epoch}" for epoch in range(4) for step in (0, 10, 20)]
    history = one(file(tmp_path, "log.csv", "batch,loss\n" + "\n".join(rows)))
    assert [v for _, v in points(history, "train_loss")] == [
        float(epoch) for epoch in range(4) for _ in range(3)
    ]
    assert "rows were counted instead" in history.notes[0]


def test_rows_out_of_order_are_sorted(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "epoch,loss\n3,0.3\n1,0.1\n2,0.2\n"))
    assert points(history, "train_loss") == [(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)]
    assert history.notes == ("the rows were not in the order of their steps and were sorted",)


@pytest.mark.parametrize(
    ("names", "taken", "unit"),
    [
        (["epoch", "step", "global_step"], "global_step", "step"),
        (["epoch", "step"], "step", "step"),
        (["_step", "trainer/global_step"], "trainer/global_step", "step"),
        (["epoch", "iter"], "iter", "step"),
        (["time", "Epoch"], "Epoch", "epoch"),
    ],
)
def test_which_column_counts_the_steps(tmp_path: Path, names: list[str], taken: str, unit: str) -> None:
    rows = ["loss," + ",".join(names)]
    rows += [
        f"1,{','.join(str(row * (10 if name == taken else 3)) for name in names)}" for row in range(1, 4)
    ]
    history = one(file(tmp_path, "log.csv", "\n".join(rows)))
    assert [s for s, _ in points(history, "train_loss")] == [10, 20, 30]
    assert history.unit == unit


def test_a_step_that_few_rows_have_does_not_count(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "step,epoch,loss\n7,1,0.5\n,2,0.4\n,3,0.3\n"))
    assert [s for s, _ in points(history, "train_loss")] == [1, 2, 3]
    assert history.unit == "epoch"


def test_rows_without_any_step_are_counted(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "loss\n0.5\n0.4\n"))
    assert (points(history, "train_loss"), history.unit) == ([(1.0, 0.5), (2.0, 0.4)], "row")


def test_percent_signs_and_brackets(tmp_path: Path) -> None:
    content = "epoch,loss,acc\n1,[0.5],80 %\n2,\"tensor(0.25, device='cuda:0')\",0.9%\n"
    history = one(file(tmp_path, "log.csv", content))
    assert points(history, "train_loss") == [(1.0, 0.5), (2.0, 0.25)]
    assert history.curves["train_accuracy"].values.tolist() == pytest.approx([0.8, 0.009])
    assert "percent" in history.notes[0]


def test_percentages_below_one(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "epoch,acc\n1,0.5%\n2,0.25 %\n"))
    assert points(history, "train_accuracy") == [(1.0, 0.005), (2.0, 0.0025)]


def test_percentages_are_judged_over_all_runs(tmp_path: Path) -> None:
    # The second run never passes 1 %, and is no 90 % for that.
    found = read(file(tmp_path, "log.csv", "seed,epoch,acc\n0,1,50\n0,2,80\n1,1,0.9\n1,2,0.9\n"))
    assert found[1].curves["train_accuracy"].values.tolist() == pytest.approx([0.009, 0.009])


def test_given_columns_in_a_file(tmp_path: Path) -> None:
    path = file(tmp_path, "scalars.csv", "Wall time,Step,Value\n1.5,10,0.5\n2.5,20,0.4\n")
    assert points(one(path, {"val_loss": "Value"}), "val_loss") == [(10.0, 0.5), (20.0, 0.4)]
    with pytest.raises(
        RidgelineError, match=r"line 1: looked for .*'Wall time', 'Step', 'Value'; name them, e.g. .*'Value'"
    ):
        read(path)


def test_comments_before_and_in_the_header(tmp_path: Path) -> None:
    history = one(file(tmp_path, "log.csv", "# made by hand\n# 2031-01-01\nepoch,loss\n1,0.5\n"))
    assert points(history, "train_loss") == [(1.0, 0.5)]
    assert points(one(file(tmp_path, "log.csv", "#epoch,loss\n1,0.5\n")), "train_loss") == [(1.0, 0.5)]


def test_a_table_of_polars_reads_as_it_was(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {"step": np.arange(200_000), "loss": rng.random(200_000), "val_loss": rng.random(200_000)}
    )
    frame.write_csv(tmp_path / "long.csv")
    history = one(tmp_path / "long.csv")
    assert np.array_equal(history.curves["val_loss"].values, frame["val_loss"].to_numpy())


def test_a_thousand_runs(tmp_path: Path) -> None:
    values = np.arange(100_000) / 7
    runs = pl.Series([f"lr{place // 100 // 5}" for place in range(100_000)])
    frame = pl.DataFrame(
        {"arm": runs, "seed": np.arange(100_000) // 100 % 5, "epoch": np.arange(100_000) % 100}
    )
    frame.with_columns(loss=values, val_loss=values + 1).write_csv(tmp_path / "many.csv")
    found = read(tmp_path / "many.csv")
    assert len(found) == 1000
    assert (found[-1].arm, found[-1].run) == ("lr199", "4")
    assert found[617].curves["val_loss"].values.tolist() == (values[61700:61800] + 1).tolist()
