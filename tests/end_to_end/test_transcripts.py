"""docs/transcripts.md shows what examples/three_models.py prints today."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

MAKER = Path(__file__).parents[2] / "docs" / "make_transcripts.py"
NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?|\binf\b"

# Rounding errors: of another size on another processor.
NOISY = "noise"


@pytest.fixture(scope="module")
def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_transcripts", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def printed(maker: Any) -> dict[str, str]:
    found: dict[str, str] = maker.parts(maker.output())
    return found


def cells(text: str) -> list[list[str]]:
    """Sentences, and the rows of tables with wrapped lines joined; without what another machine may differ in."""
    rows: list[list[str]] = []
    noisy = -1
    for line in text.splitlines():
        found = [cell.strip() for cell in re.split("[│┃]", line)]
        if len(found) == 1 and line.strip(" ┏━┳┓┡╇┩└─┴┘"):
            rows.append([line.strip()])
        if len(found) == 1:
            continue
        if NOISY in found:
            noisy = found.index(NOISY)
        if found[1]:
            rows.append([cell if place != noisy else "" for place, cell in enumerate(found)])
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], found, strict=True)]
    return rows


def difference(one: str, other: str) -> str | None:
    """The first cell whose words differ, or whose numbers do by more than the last of two digits."""
    mine, theirs = cells(one), cells(other)
    if [len(row) for row in mine] != [len(row) for row in theirs]:
        return f"{len(mine)} rows against {len(theirs)}"
    for row, its in zip(mine, theirs, strict=True):
        for place, (a, b) in enumerate(zip(row, its, strict=True)):
            same = words(a) == words(b) and numbers(a) == pytest.approx(numbers(b), rel=0.15)
            if not same or (place == 1 and a != b):  # a parameter's name is no number
                return f"{a!r} against {b!r}"
    return None


def words(cell: str) -> str:
    return re.sub(NUMBER, "#", cell)


def numbers(cell: str) -> list[float]:
    return [float(number.replace(",", "")) for number in re.findall(NUMBER, cell)]


def test_the_page_shows_what_the_command_prints(maker: Any, printed: dict[str, str]) -> None:
    shown = maker.parts(maker.PAGE.read_text(encoding="utf-8"))
    assert list(shown) == list(printed)
    for head, text in printed.items():
        found = difference(shown[head], text)
        assert found is None, (
            f"{head} {found}: run docs/make_transcripts.py, and read the prose beside the block"
        )


def test_the_command_leaves_a_current_page_as_it_is(maker: Any, printed: dict[str, str]) -> None:
    page = maker.PAGE.read_text(encoding="utf-8")
    filled = maker.filled(page, printed)
    assert maker.parts(filled) == printed
    assert re.sub(maker.BLOCK, "", filled, flags=re.S) == re.sub(maker.BLOCK, "", page, flags=re.S)


@pytest.mark.parametrize(
    ("head", "old", "new"),
    [
        ("--- cnn: audit ---", "scale-invariant", "fine"),
        ("--- cnn: response ---", "dominating", "acting"),
        ("--- lora: effect at the start ---", "2 dead", "1 dead"),
        ("--- lora: effect at the start ---", "inf", "1.2"),
        ("--- transformer: effect at the start ---", "9.28%", "7.28%"),
        ("--- transformer: audit ---", "block.norm1.bias", "block.norm3.bias"),
        ("--- cnn: audit ---", "9.weight", "10.weight"),
    ],
)
def test_a_page_that_says_something_else_is_found(
    printed: dict[str, str], head: str, old: str, new: str
) -> None:
    assert old in printed[head]
    assert difference(printed[head].replace(old, new, 1), printed[head]) is not None


def test_rounding_of_another_machine_is_no_difference(printed: dict[str, str]) -> None:
    text = printed["--- cnn: response ---"]
    assert difference(text, text.replace("5e-07", "7.3e-07").replace("0.058", "0.059")) is None
