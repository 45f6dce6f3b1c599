"""`ridgeline audit` as a person types it: models and optimizers of their own, and everything that can be wrong."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.commands import Cli, Said, start

SOURCE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, width))
        self.fc = nn.Linear(3, width)
        self.bn = nn.BatchNorm1d(width)

class Wide(nn.Module):
    def __init__(self, width, depth):
        super().__init__()

instance = nn.Linear(2, 2)
number = 3

def make(width: int = 4):
    print("building")
    return Net(width)

def anything(**options):
    return nn.Linear(2, options["out"])

def failing():
    raise KeyError("width\\nand a second line")

def exiting():
    raise SystemExit(1)

def no_model():
    return {}

def empty():
    return nn.ReLU()

def lazy():
    return nn.Sequential(nn.LazyLinear(3))

def meta():
    with torch.device("meta"):
        return nn.Linear(100_000, 100_000)

def bare(model):
    return torch.optim.AdamW(model.parameters(), weight_decay=0.05)

def inverted(model):
    vectors = [p for p in model.parameters() if p.ndim < 2]
    others = [p for p in model.parameters() if p.ndim > 1]
    groups = [{"params": vectors, "weight_decay": 0.0005}, {"params": others}]
    return torch.optim.SGD(groups, lr=0.1)

def two(model):
    return [bare(model), None]
"""


MODULES = ("mine", "broken", "script", "parts", "parts.net")


@pytest.fixture
def mine(cli: Cli, tmp_path: Path) -> Iterator[Path]:
    """The working directory with models in it; they are forgotten afterwards, and nothing else is written."""
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "net.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    (tmp_path / "script.py").write_text(
        "import argparse\nargparse.ArgumentParser().parse_args(['--epochs'])\n"
    )

    def files() -> list[Path]:
        return sorted(path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts)

    before = files()
    yield tmp_path
    assert files() == before
    for name in MODULES:
        sys.modules.pop(name, None)


def ask(folder: Path, *args: str) -> Said:
    """A process of its own."""
    with start("audit", *args, cwd=folder) as process:
        out, err = process.communicate()
    return Said(process.returncode, out, err)


def cells(out: str, name: str) -> list[str]:
    """The cells of a parameter's line, without its mark."""
    (line,) = [words for text in out.splitlines() if name in (words := text.split())[:2]]
    return line[line.index(name) + 1 :]


def test_the_table_and_the_sentences(mine: Path) -> None:
    said = ask(mine, "mine:make")
    assert said.code == 0, said.err
    assert said.err == "building\n"
    assert said.out.startswith(
        "12 of 28 weights (42.9%), in 1 of 5 tensors, would be penalised by our default; of the tensors, a bare "
        "weight_decay= would decay 4 more, timm 1 more, Hugging Face 2 more.\n"
    )
    assert cells(said.out, "fc.weight") == ["4×3", "12", "✓", "✓", "✓", "✓", "weight", "of", "Linear"]
    assert cells(said.out, "fc.bias") == ["4", "4", "–", "✓", "–", "–", "bias"]
    assert cells(said.out, "bn.weight")[2:6] == ["–", "✓", "–", "✓"]
    marked = [line.split()[1] for line in said.out.splitlines() if line.strip().startswith("≠ ")]
    assert marked == ["token", "bn.weight"]
    assert "Where they differ\n- A bare weight_decay=, timm and Hugging Face would decay token (" in said.out
    assert "our default leaves it (unknown module type Net: name it in a Rule to penalise it).\n" in said.out
    assert "- Only a bare weight_decay= would decay fc.bias (biases; 4 elements).\n" in said.out
    assert "Your" not in said.out


def test_an_optimizer_with_an_inverted_list(mine: Path) -> None:
    said = ask(mine, "mine:Net", "--optimizer", "mine:inverted")
    assert said.code == 0, said.err
    assert cells(said.out, "fc.bias")[2:8] == ["–", "✓", "–", "–", "✓", "0.0005"]
    assert cells(said.out, "fc.weight")[2:7] == ["✓", "✓", "✓", "✓", "–"]
    assert "\nYour SGD\n- Its no-decay list seems inverted: " in said.out


def test_an_optimizer_without_one(mine: Path, cli: Cli) -> None:
    said = cli("audit", "mine:Net", "--optimizer", "mine:bare")
    assert said.code == 0, said.err
    assert "\nYour AdamW\n- It decays what a bare weight_decay= would.\n" in said.out
    assert "inverted" not in said.out


def test_json_for_programs(mine: Path) -> None:
    said = ask(mine, "mine:make", "--set", "width=5", "--optimizer", "mine:bare", "--json")
    assert said.code == 0, said.err
    found: dict[str, Any] = json.loads(said.out)
    assert set(found) == {
        *("model", "summary", "elements", "penalised_elements", "rows", "differences", "optimizer"),
    }
    assert (found["model"], found["elements"], found["penalised_elements"]) == ("mine:make", 35, 15)
    token = found["rows"][0]
    assert (token["name"], token["shape"], token["elements"]) == ("token", [1, 5], 5)
    others = dict.fromkeys(("weight_decay", "timm", "huggingface", "optimizer"), True)
    assert token["decays"] == {"ridgeline": False, **others}
    assert token["reasons"]["optimizer"] == "group 0: weight_decay=0.05"
    assert [note["kind"] for note in found["differences"]] == [
        "unknown",
        "normalization",
        "bias",
        "normalization",
    ]
    assert found["optimizer"]["groups"] == [
        {"weight_decay": 0.05, "names": [row["name"] for row in found["rows"]]}
    ]
    assert [note["kind"] for note in found["optimizer"]["findings"]] == ["same", "vectors", "others"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["mine.py:Net"], "12 of 28 weights"),
        (["parts/net.py:make"], "12 of 28 weights"),
        (["parts.net:make", "--optimizer", "parts/net.py:bare"], "Your AdamW"),
        (["mine:instance"], "4 of 6 weights"),
        (["mine:anything", "--set", "out=3"], "6 of 9 weights"),
        (["torch.nn:Linear", "--set", "in_features=2", "--set", "out_features=3"], "6 of 9 weights"),
        (["mine:lazy"], "2 of them lazy"),
        (["mine:meta"], "10,000,000,000 of 10,000,100,000 weights"),
    ],
)
def test_what_a_person_may_name(mine: Path, cli: Cli, args: list[str], says: str) -> None:
    said = cli("audit", *args)
    assert said.code == 0, said.err
    assert says in said.out


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["mine"], "the model is 'mine'; write it as 'package.module:function'"),
        (["absent:make"], "module 'absent' cannot be imported (ModuleNotFoundError"),
        (["broken:make"], "No module named 'no_such_library'"),
        (["mine:mkae"], "'mine' has no function 'mkae'; check the name"),
        (["mine:number"], "has no function 'number'"),
        (["mine:Wide"], "mine:Wide needs arguments (width, depth); give them, such as --set width=..."),
        (["mine:Wide", "--set", "width=3"], "needs arguments (depth)"),
        (["mine:make", "--set", "widht=3"], "has no argument 'widht'; did you mean 'width'?"),
        (["mine:make", "--set", "width"], "'width' is no key=value"),
        (["mine:make", "--set", "width=[1"], "--set width is no valid YAML"),
        (["mine:make", "--set", "width=wide"], "mine:make failed (TypeError"),
        (["mine:instance", "--set", "width=3"], "is a model already, so --set has no effect"),
        (["mine:failing"], "mine:failing failed (KeyError: "),
        (["mine:no_model"], "mine:no_model returned a dict, not a torch.nn.Module; return the model"),
        (["mine:empty"], "ReLU has no parameters"),
        (["mine:exiting"], "ended the program (SystemExit: 1)"),
        (["script:make"], "under if __name__ == '__main__'"),
        (["absent.py:make"], "absent.py does not exist; check the path"),
        (["parts/../mine.py:make"], "lies outside the working directory"),
        (["mine:make", "--optimizer", "mine:absent"], "the optimizer: 'mine' has no function 'absent'"),
        (["mine:make", "--optimizer", "torch.optim:SGD"], "name a function that takes the model"),
        (["mine:make", "--optimizer", "mine:two"], "returned a list, not a torch.optim.Optimizer"),
        (["mine:make", "--optimizer", "mine:failing"], "called with the model, failed (TypeError"),
    ],
)
def test_bad_input_is_one_sentence_and_code_2(mine: Path, cli: Cli, args: list[str], says: str) -> None:
    said = cli("audit", *args)
    assert (said.code, said.out) == (2, "")
    sentence = said.err.splitlines()[-1]
    assert sentence.startswith("ridgeline: ")
    assert says in sentence
    assert "Traceback" not in said.err


def test_a_file_called_like_a_loaded_module_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text(SOURCE)
    said = cli("audit", "json.py:make")
    assert said.code == 2
    assert "another module is called 'json' already; rename json.py" in said.sentence()


def test_a_real_process_ends_with_code_2_and_one_sentence(mine: Path) -> None:
    said = ask(mine, "mine:Wide")
    assert (said.code, said.out) == (2, "")
    assert said.sentence().startswith("ridgeline: mine:Wide needs arguments (width, depth)")
