"""Bad input: exit code 2, one sentence with the remedy, nothing written."""

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import TINY, Cli, start, write_study

MINE = "tests.end_to_end.factories"


def refused(cli: Cli, tmp_path: Path, *args: str) -> str:
    """The sentence that a run is refused with, having written nothing."""
    before = sorted(tmp_path.rglob("*"))
    said = cli("run", *args, "--out", str(tmp_path / "out"))
    assert said.code == 2, said
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    return said.sentence()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["digts"], "did you mean 'digits'"),
        (["absent.yaml"], "absent.yaml does not exist"),
        (["folder/absent"], "does not exist"),
        (["digits", "--engine", "lans"], "did you mean 'lanes'|allowed: 'auto', 'solo'"),
        (["digits", "--device", "gpu"], "device is 'gpu'"),
        (["digits", "--device", "mps"], "not available"),
        (["digits", "--set", "train.lr"], "no key=value"),
        (["digits", "--set", "train.lr=fast"], "train.lr"),
        (["digits", "--set", "train.lr=[1"], "no valid YAML"),
        (["digits", "--set", "trian.lr=1"], "trian"),
        (["digits", "--set", "regularization.strength=1"], "varies it"),
        (["digits", "--seeds", "0"], "seeds"),
        (["digits", "--set", "train.wd=1"], "train.weight_decay"),
        (["digits", "--set", "data.n_train=1400"], "n_train"),
        (["digits", "--set", "train.loss=mse"], "cross_entropy"),
    ],
)
def test_bad_words_on_the_command_line(cli: Cli, tmp_path: Path, args: list[str], says: str) -> None:
    sentence = refused(cli, tmp_path, *args)
    assert any(part in sentence for part in says.split("|")), sentence


@pytest.mark.parametrize("text", ["a\tb: [", "\tname: x", "%PDF-1.7 \x00", "- a", "", "name: x\nname: y"])
def test_a_file_that_is_no_study(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    assert "bad.yaml" in refused(cli, tmp_path, "bad.yaml")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trian": {}}, "did you mean 'train'"),
        ({"train": {"lr": "fast", "steps": 3}}, "train.lr"),
        ({"regularization": {"penalty": "l2", "strength": -1}, "vary": None}, "strength"),
        ({"vary": {"regularization.strength": [0, -1]}}, "arm 'strength=-1': regularization.strength"),
        ({"regularization": {"penalty": "l2", "strength": float("nan")}, "vary": None}, "strength"),
        ({"vary": {}}, "vary"),
        ({"vary": {"regularization.strength": []}}, "is empty"),
        ({"regularization": {"penalty": "l2", "strength": 1, "match": "hiden1.*"}}, "matches no parameter"),
        ({"model": {"name": "cnn", "channels": [4, 4, 4, 4]}}, "fewer channels"),
        ({"model": {"factory": "no_such_module:f"}}, "no_such_module"),
        ({"model": {"factory": f"{MINE}:absent"}}, "absent"),
        ({"model": {"factory": f"{MINE}:not_callable"}}, "not_callable"),
        ({"model": {"factory": MINE}}, "package.module:function"),
        ({"model": {"factory": f"{MINE}:no_module"}}, "not a torch.nn.Module"),
        ({"model": {"factory": f"{MINE}:raising"}}, "KeyError: 'width'"),
        ({"model": {"factory": f"{MINE}:gated", "width": 3}}, "width"),
        ({"model": {"factory": f"{MINE}:gated", "dropout": 0.5}}, "dropout"),
        ({"model": {"factory": f"{MINE}:Wrong"}}, "no such thing"),
        ({"model": {"factory": f"{MINE}:narrow"}}, "the data need (2, 10)"),
        ({"model": {"factory": f"{MINE}:mismatched"}}, "check that it fits the data"),
        ({"data": {"factory": f"{MINE}:no_splits"}}, "return ridgeline.Splits"),
        ({"data": {"factory": f"{MINE}:nan_data"}}, "NaN"),
        ({"data": {"factory": f"{MINE}:nan_data", "n": 3}}, "unexpected keyword"),
        ({"data": {"file": "absent.csv", "target": "y"}}, "does not exist"),
        ({"evaluate": {"sets": {"head": "trian[:3]"}}}, "trian"),
    ],
)
def test_a_study_that_cannot_run(cli: Cli, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    assert says in refused(cli, tmp_path, write_study(tmp_path / "bad.yaml", **changes))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("a,b\n1,2\n3,4\n", "no column 'y'"),
        ("a,y\n1,0\nred,1\n", "'a'"),
        ("a,y\n1,0\n,1\n", "row"),
        ("a,y\n1,0\nnan,1\n", "row"),
        ("a,y\n1,0\ninf,1\n", "row"),
        ("y\n1\n2\n", "input column"),
        ("a,y\n", "rows"),
        ("", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_used(cli: Cli, tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "rows.csv").write_text(rows)
    spec = write_study(tmp_path / "mine.yaml", data={"file": "rows.csv", "target": "y"})
    sentence = refused(cli, tmp_path, spec)
    assert "rows.csv" in sentence
    assert says in sentence


def test_a_trial_that_fails_while_training_is_named(cli: Cli, tmp_path: Path) -> None:
    # 49 training examples in batches of 16 leave one alone, which batch normalization refuses.
    data = {"name": "digits", "n_train": 49}
    spec = write_study(tmp_path / "bad.yaml", data=data, model={"factory": f"{MINE}:normalized"}, vary=None)
    said = cli("run", spec, "--out", "out")
    assert said.code == 2
    assert "trial 'tiny', seed 0 failed while training" in said.sentence()


def test_a_run_folder_with_a_damaged_table_is_named(cli: Cli, tmp_path: Path) -> None:
    spec = write_study(tmp_path / "tiny.yaml", seeds=1, vary=None)
    assert cli("run", spec, "--out", "out").code == 0
    (tmp_path / "out" / "trials.parquet").write_bytes(b"PAR1")
    said = cli("run", spec, "--out", "out")
    assert said.code == 2
    assert "trials.parquet" in said.sentence()


def test_a_report_of_no_run_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in ("absent", "empty"):
        said = cli("report", folder)
        assert said.code == 2
        assert folder in said.sentence()
    assert "did you mean 'digits'" in cli("recipes", "digitz").sentence()


def test_a_real_process_ends_with_code_2_and_one_sentence(tmp_path: Path) -> None:
    spec = write_study(tmp_path / "bad.yaml", train={**TINY["train"], "steqs": 1}, vary=None)
    with start("run", spec, "--out", "out", cwd=tmp_path) as process:
        out, err = process.communicate()
    assert (process.returncode, out) == (2, "")
    assert err.startswith("ridgeline: train: unknown key 'steqs'; did you mean 'steps'?")
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"regularization": {"penalty": "orthogonal", "strength": 0.1, "mode": "proximal"}},
            "no proximal operator",
        ),
        ({"regularization": {"penalty": "group_lasso", "strength": 0.1, "dim": 7}}, "dim=7"),
        ({"evaluate": {"sets": {"head": "train[500:]"}}}, "evaluate.sets.head is an empty slice"),
        (
            {
                "evaluate": {"sets": {"held": "test"}},
                "train": {**TINY["train"], "early_stopping": {"monitor": "held_loss"}},
            },
            "part of the test set",
        ),
    ],
)
def test_what_only_model_and_data_show_is_refused_before_anything_is_written(
    cli: Cli, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    study = write_study(tmp_path / "study.yaml", vary=None, **changes)
    assert says in refused(cli, tmp_path, study)


def test_a_target_of_one_class_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,t\n" + "".join(f"{i},cat\n" for i in range(20)))
    study = write_study(tmp_path / "study.yaml", data={"file": "table.csv", "target": "t"})
    assert "is the same in all rows" in refused(cli, tmp_path, study)
