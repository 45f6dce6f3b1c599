"""The small curve of the terminal: its size, its shape, and that no history breaks it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ridgeline.cli._sketch import HEIGHT, WIDTH, sketch
from ridgeline.diagnosis import Curve, History

NUMBER = st.floats(allow_nan=True, allow_infinity=True, width=32)


def made(train: list[float], val: list[float]) -> History:
    return History({"train_loss": Curve.of(train), "val_loss": Curve.of(val)})


def drawn(history: History, plain: bool = False) -> list[str]:
    """The rows of the curve, without scale and frame."""
    found = sketch([history], "loss", plain)
    assert found is not None
    rows = [row.partition("|" if plain else "│")[2] for row in found.rows[:HEIGHT]]
    assert all(len(row) == WIDTH for row in rows)
    assert len(found.rows) == HEIGHT + 1
    return rows


@pytest.mark.parametrize("plain", [False, True])
def test_curves_run_where_they_should(plain: bool) -> None:
    """Training falls from the upper left to the lower right, validation rises."""
    falling = [1.0 - k / 99 for k in range(100)]
    rows = drawn(made(falling, falling[::-1]), plain)
    thick = "#" if plain else "▀▄█"
    assert rows[0][-1] in thick
    assert rows[-1][0] in thick
    assert rows[0][0] not in (*thick, " ")
    assert rows[-1][-1] not in (*thick, " ")
    assert all(any(mark in thick for mark in column) for column in zip(*rows, strict=True))


def test_of_equal_curves_validation_is_seen() -> None:
    same = [0.9**k for k in range(40)]
    assert set("".join(drawn(made(same, same), plain=True))) == {"#", " "}


def test_the_start_does_not_flatten_the_rest() -> None:
    late = [0.5 + 0.1 * math.sin(k / 10) for k in range(200)]
    rows = drawn(made([1e6, 1e4, *late], [1e6, 1e4, *late]), plain=True)
    assert all("#" in row for row in rows)


def test_runs_are_averaged_and_steps_may_differ() -> None:
    ones = History({"val_loss": Curve.of([1.0, 1.0], [0.0, 10.0])}, run="0")
    threes = History({"val_loss": Curve.of([3.0, 3.0, 3.0], [0.0, 5.0, 10.0])}, run="1")
    found = sketch([ones, threes], "loss", plain=True)
    assert found is not None
    assert float(found.rows[0].split("|")[0]) > 2 > float(found.rows[7].split("|")[0])
    assert found.legend == "# validation loss"


def test_ascii_is_ascii() -> None:
    found = sketch([made([1.0, 0.5, 0.2], [1.0, 0.7, 0.8])], "loss", plain=True)
    assert found is not None
    assert all(row.isascii() for row in [*found.rows, found.legend])


@pytest.mark.parametrize("values", [[], [1.0], [math.nan] * 5, [math.inf] * 5])
def test_what_cannot_be_drawn_is_none(values: list[float]) -> None:
    assert sketch([made(values, values)], "loss") is None
    assert sketch([], "loss") is None


@given(st.lists(NUMBER, max_size=300), st.lists(NUMBER, max_size=300), st.booleans())
def test_no_history_breaks_it(train: list[float], val: list[float], plain: bool) -> None:
    found = sketch([made(train, val)], "loss", plain)
    if found is not None:
        assert len(found.rows) == HEIGHT + 1


def test_a_long_history_is_drawn_from_means() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 100_000)
    rows = drawn(History({"val_loss": Curve.of(noise + np.linspace(50, 0, 100_000))}), plain=True)
    assert all(row.count("#") <= 12 for row in rows)
