"""Strengths between libraries: against every objective written out once more, in round trips, and refused."""

import doctest
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ridgeline.errors import RidgelineError
from ridgeline.penalties import CONVENTIONS, convert
from ridgeline.penalties._conventions import LOSSES, Loss, conventions_table
from tests.end_to_end.commands import Cli
from tests.end_to_end.conftest import cli as cli  # the fixture

PAGE = Path(__file__).parents[2] / "docs" / "strengths.md"
DATA = {"mse": 1.0, "half_mse": 0.5, "cross_entropy": 1.0}


# The naive twin: each objective from its library's manual, of `total`, the sum over n samples of (y − ŷ)² or of the
# log loss, `square` = Σw² and `absolute` = Σ|w|, for strength s. `loss` is what a person trains with.
def averaged(penalty: Callable[..., float]) -> Callable[..., float]:
    return lambda total, n, square, absolute, s, loss: (
        DATA[loss] * total / n + penalty(square, absolute, s)  # the loss averaged, with its ½ or without
    )


def half_of_squares(loss: str) -> float:
    return 1.0 if loss == "cross_entropy" else 0.5


OBJECTIVES: dict[str, Callable[..., float]] = {
    "ridgeline.L1": averaged(lambda square, absolute, s: s * absolute),
    "ridgeline.L2": averaged(lambda square, absolute, s: s * square / 2),
    "torch.weight_decay": averaged(lambda square, absolute, s: s * square / 2),
    "tf1.l1_regularizer": averaged(lambda square, absolute, s: s * absolute),
    "tf1.l2_regularizer": averaged(lambda square, absolute, s: s * square / 2),
    "keras.L1": averaged(lambda square, absolute, s: s * absolute),
    "keras.L2": averaged(lambda square, absolute, s: s * square),
    "allennlp.l1": averaged(lambda square, absolute, s: s * absolute),
    "allennlp.l2": averaged(lambda square, absolute, s: s * square),
    "sklearn.Ridge.alpha": lambda total, n, square, absolute, s, loss: total + s * square,
    "sklearn.Lasso.alpha": lambda total, n, square, absolute, s, loss: total / (2 * n) + s * absolute,
    "sklearn.LogisticRegression.C": lambda total, n, square, absolute, s, loss: (
        s * total + square / 2 + absolute
    ),
    "sklearn.MLP.alpha": lambda total, n, square, absolute, s, loss: (
        half_of_squares(loss) * total / n + s * square / (2 * n)
    ),
    "glmnet.ridge": lambda total, n, square, absolute, s, loss: (
        half_of_squares(loss) * total / n + s * square / 2
    ),
    "glmnet.lasso": lambda total, n, square, absolute, s, loss: (
        half_of_squares(loss) * total / n + s * absolute
    ),
}
L1 = {name for name in OBJECTIVES if "1" in name.split(".")[1].lower() or "asso" in name}
BOTH = {"sklearn.LogisticRegression.C"}
SQUARED_ONLY = {"sklearn.Ridge.alpha", "sklearn.Lasso.alpha"}
OWN = {name for name in OBJECTIVES if name.startswith(("sklearn", "glmnet"))}
SUMS = {"sklearn.Ridge.alpha", "sklearn.LogisticRegression.C", "sklearn.MLP.alpha"}


def losses(*names: str) -> list[Loss]:
    """The losses under which all of these exist."""
    squared, log = not BOTH & {*names}, not SQUARED_ONLY & {*names}
    return [loss for loss in LOSSES if (log if loss == "cross_entropy" else squared)]


def connected(*names: str) -> bool:
    one_kind = {*names} <= L1 | BOTH or not {*names} & L1
    return one_kind and bool(losses(*names))


def arguments(source: str, target: str, n: int, loss: str) -> dict[str, Any]:
    """What this pair asks for."""
    asked: dict[str, Any] = {}
    if (source in SUMS) != (target in SUMS):
        asked["n_samples"] = n
    if (source in OWN) != (target in OWN):
        asked["loss"] = loss
    return asked


PAIRS = [(a, b) for a, b in itertools.product(OBJECTIVES, repeat=2) if connected(a, b)]
CHAINS = [(a, b, c) for a, b, c in itertools.product(OBJECTIVES, repeat=3) if connected(a, b, c)]
strengths = st.floats(1e-6, 1e6)
counts = st.integers(1, 10**6)


def test_the_twin_knows_every_convention() -> None:
    assert set(OBJECTIVES) == set(CONVENTIONS)
    assert len(PAIRS) > len(OBJECTIVES)


@settings(max_examples=400)
@given(pair=st.sampled_from(PAIRS), strength=strengths, n=counts, data=st.data())
def test_both_objectives_are_one_up_to_a_factor(
    pair: tuple[str, str], strength: float, n: int, data: st.DataObject
) -> None:
    source, target = pair
    loss = data.draw(st.sampled_from(losses(source, target)))
    found = convert(strength, source, target, **arguments(source, target, n, loss))
    lasso = bool({source, target} & L1)

    def shares(name: str, s: float) -> float:
        # How much the penalty weighs against the data: all that the place of the minimum depends on.
        square, absolute = (0.0, 1.0) if lasso else (1.0, 0.0)
        return OBJECTIVES[name](0.0, n, square, absolute, s, loss) / OBJECTIVES[name](
            1.0, n, 0.0, 0.0, s, loss
        )

    assert shares(target, found) == pytest.approx(shares(source, strength), rel=1e-13)


@settings(max_examples=400)
@given(pair=st.sampled_from(PAIRS), strength=strengths, n=counts, data=st.data())
def test_there_and_back(pair: tuple[str, str], strength: float, n: int, data: st.DataObject) -> None:
    source, target = pair
    loss = data.draw(st.sampled_from(losses(source, target)))
    asked = arguments(source, target, n, loss)
    there = convert(strength, source, target, **asked)
    assert convert(there, target, source, **asked) == pytest.approx(strength, rel=1e-14)


@settings(max_examples=400)
@given(chain=st.sampled_from(CHAINS), strength=strengths, n=counts, data=st.data())
def test_two_steps_are_one(chain: tuple[str, str, str], strength: float, n: int, data: st.DataObject) -> None:
    a, b, c = chain
    loss = data.draw(st.sampled_from(losses(a, b, c)))
    middle = convert(strength, a, b, **arguments(a, b, n, loss))
    direct = convert(strength, a, c, **arguments(a, c, n, loss))
    assert convert(middle, b, c, **arguments(b, c, n, loss)) == pytest.approx(direct, rel=1e-14)


def test_between_two_libraries_with_losses_of_their_own_each_shared_loss_gives_one_number() -> None:
    for source, target in PAIRS:
        if {source, target} <= OWN:
            a, b = CONVENTIONS[source], CONVENTIONS[target]
            assert len({b.weight(loss) / a.weight(loss) for loss in losses(source, target)}) == 1


FIGURES: list[tuple[float, str, dict[str, Any], float]] = [
    (0.01, "torch.weight_decay", {}, 0.01),
    (0.01, "tf1.l2_regularizer", {}, 0.01),
    (0.01, "keras.L2", {}, 0.02),
    (0.01, "allennlp.l2", {}, 0.02),
    (5.0, "sklearn.Ridge.alpha", {"n_samples": 50, "loss": "mse"}, 0.2),
    (5.0, "sklearn.Ridge.alpha", {"n_samples": 50, "loss": "half_mse"}, 0.1),
    (4.0, "sklearn.LogisticRegression.C", {"n_samples": 50}, 0.005),
    (4.0, "sklearn.LogisticRegression.C", {"n_samples": 50, "loss": "cross_entropy"}, 0.005),
    (0.5, "sklearn.MLP.alpha", {"n_samples": 50, "loss": "cross_entropy"}, 0.01),
    (0.5, "sklearn.MLP.alpha", {"n_samples": 50, "loss": "half_mse"}, 0.01),
    (0.5, "sklearn.MLP.alpha", {"n_samples": 50, "loss": "mse"}, 0.02),
    (0.5, "glmnet.ridge", {"loss": "half_mse"}, 0.5),
    (0.5, "glmnet.ridge", {"loss": "mse"}, 1.0),
    (0.3, "tf1.l1_regularizer", {}, 0.3),
    (0.3, "keras.L1", {}, 0.3),
    (0.3, "allennlp.l1", {}, 0.3),
    (0.3, "sklearn.Lasso.alpha", {"loss": "half_mse"}, 0.3),
    (0.3, "sklearn.Lasso.alpha", {"loss": "mse"}, 0.6),
    (0.3, "glmnet.lasso", {"loss": "cross_entropy"}, 0.3),
]


@pytest.mark.parametrize(("strength", "source", "asked", "ours"), FIGURES)
def test_figures(strength: float, source: str, asked: dict[str, Any], ours: float) -> None:
    target = "ridgeline.L1" if source in L1 else "ridgeline.L2"
    assert convert(strength, source, target, **asked) == pytest.approx(ours, rel=1e-15)


def test_strength_zero_stays_zero() -> None:
    for source, target in PAIRS:
        if not BOTH & {source, target}:
            assert convert(0, source, target, **arguments(source, target, 7, "mse")) == 0.0


def test_numbers_of_numpy_are_numbers() -> None:
    found = convert(np.float32(0.5), "sklearn.MLP.alpha", "keras.L2", n_samples=np.int64(5), loss="half_mse")  # type: ignore[arg-type]
    assert found == 0.05
    assert type(found) is float


REFUSED: list[tuple[float, str, str, dict[str, Any], str]] = [
    (1.0, "keras.l2", "keras.L2", {}, "source is 'keras.l2'.* did you mean 'keras.L2'"),
    (1.0, "keras.L2", "adamw", {}, "target is 'adamw'.* allowed: 'ridgeline.L1', "),
    (
        1.0,
        "keras.L1",
        "keras.L2",
        {},
        "no number turns one into the other; keras.L1 converts to ridgeline.L1, ",
    ),
    (1.0, "sklearn.Ridge.alpha", "sklearn.LogisticRegression.C", {}, "beside mse .* beside cross_entropy"),
    (1.0, "sklearn.Lasso.alpha", "sklearn.LogisticRegression.C", {}, "no number turns one objective"),
    (-1.0, "keras.L2", "keras.L2", {}, "strength is -1.0; allowed: a finite number ≥ 0"),
    (math.nan, "keras.L2", "torch.weight_decay", {}, "strength is nan"),
    (
        math.inf,
        "sklearn.LogisticRegression.C",
        "ridgeline.L2",
        {},
        "strength is inf; allowed: a finite number > 0",
    ),
    (0.0, "sklearn.LogisticRegression.C", "ridgeline.L2", {"n_samples": 3}, "C is 0, an infinite penalty"),
    (
        0.0,
        "ridgeline.L2",
        "sklearn.LogisticRegression.C",
        {"n_samples": 3},
        "it would be infinite; fit without",
    ),
    (5e-324, "ridgeline.L2", "sklearn.LogisticRegression.C", {"n_samples": 1}, "range of a float"),
    (5e-324, "ridgeline.L2", "keras.L2", {}, "is 0.0 in keras.L2, beyond the range of a float"),
    (1.0, "sklearn.Ridge.alpha", "ridgeline.L2", {"n_samples": 3}, "loss is missing.* 'mse', 'half_mse'"),
    (1.0, "ridgeline.L2", "glmnet.ridge", {}, "loss is missing.* 'mse', 'half_mse', 'cross_entropy'"),
    (1.0, "ridgeline.L2", "glmnet.ridge", {"loss": "mea"}, "loss is 'mea'; did you mean 'mse'"),
    (1.0, "ridgeline.L1", "sklearn.Lasso.alpha", {"loss": "cross_entropy"}, "allowed: 'mse', 'half_mse'"),
    (1.0, "keras.L1", "sklearn.LogisticRegression.C", {"loss": "mse"}, "allowed: 'cross_entropy'"),
    (1.0, "keras.L2", "allennlp.l2", {"loss": "mse"}, "loss='mse' has no effect.* leave it out"),
    (
        1.0,
        "glmnet.lasso",
        "sklearn.Lasso.alpha",
        {"loss": "half_mse"},
        "each has a loss of its own; leave it out",
    ),
    (
        1.0,
        "sklearn.Ridge.alpha",
        "ridgeline.L2",
        {"loss": "mse"},
        "n_samples is missing.* the number of samples",
    ),
    (1.0, "ridgeline.L2", "sklearn.MLP.alpha", {"loss": "mse"}, "n_samples is missing.* in a batch"),
    (1.0, "keras.L2", "allennlp.l2", {"n_samples": 3}, "n_samples=3 has no effect.* leave it out"),
    (1.0, "sklearn.Ridge.alpha", "sklearn.MLP.alpha", {"n_samples": 3}, "has no effect"),
    *(
        (1.0, "sklearn.Ridge.alpha", "ridgeline.L2", {"n_samples": n, "loss": "mse"}, "a whole number ≥ 1")
        for n in (0, -3, 2.5, 100.0, True, "many", 10**400)
    ),
]


@pytest.mark.parametrize(("strength", "source", "target", "asked", "says"), REFUSED)
def test_refused(strength: float, source: str, target: str, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(RidgelineError, match=says):
        convert(strength, source, target, **asked)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("other", OBJECTIVES)
def test_every_pair_converts_or_says_why_not(name: str, other: str) -> None:
    if connected(name, other):
        loss = losses(name, other)[0]
        assert convert(1.0, name, other, **arguments(name, other, 3, loss)) > 0
    else:
        with pytest.raises(RidgelineError, match="no number turns one"):
            convert(1.0, name, other)


@pytest.mark.parametrize("strength", ["0.1", True, None])
def test_no_number(strength: Any) -> None:
    with pytest.raises(TypeError, match=r"strength is .*; allowed: a number"):
        convert(strength, "keras.L2", "torch.weight_decay")


def test_a_whole_number_beyond_floats_is_refused() -> None:
    with pytest.raises(RidgelineError, match="strength is inf; allowed: a finite number ≥ 0"):
        convert(10**400, "keras.L2", "ridgeline.L2")


def test_a_refusal_names_what_there_is_a_number_for() -> None:
    for source in OBJECTIVES:
        other = "ridgeline.L2" if source in L1 else "ridgeline.L1"
        if source not in BOTH:
            with pytest.raises(RidgelineError, match="no number") as refused:
                convert(1.0, source, other)
            named = str(refused.value).partition("converts to ")[2].rstrip(".").split(", ")
            assert {*named} == {name for name in OBJECTIVES if name != source and connected(source, name)}


def test_the_page_holds_the_table() -> None:
    assert conventions_table() + "\n\n" in PAGE.read_text()


def test_the_examples_of_the_page_run() -> None:
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testfile(str(PAGE), module_relative=False, optionflags=options).failed == 0


def test_the_command_says_the_number_and_both_objectives(cli: Cli) -> None:
    said = cli("convert", "0.01", "keras.L2", "torch.weight_decay")
    assert said.code == 0
    number, source, target = said.out.splitlines()
    assert number == "0.02"
    assert source == "keras.L2: mean loss + λ Σw²"
    assert target.startswith("torch.weight_decay: mean loss + ½ λ Σw²  (")
    more = cli("convert", "3", "sklearn.Ridge.alpha", "ridgeline.L2", "--n-samples", "200", "--loss", "mse")
    assert more.out.splitlines()[0] == "0.03"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["0.01", "keras.L3", "keras.L2"], "did you mean"),
        (["0.01", "keras.L1", "keras.L2"], "no number"),
        (["nan", "keras.L2", "torch.weight_decay"], "strength is nan"),
        (["much", "keras.L2", "torch.weight_decay"], "strength"),
        (["1", "sklearn.Ridge.alpha", "ridgeline.L2", "--loss", "mse"], "n_samples is missing"),
        (["1", "sklearn.Ridge.alpha", "ridgeline.L2", "--n-samples", "0", "--loss", "mse"], "n_samples is 0"),
    ],
)
def test_the_command_refuses_in_one_sentence(cli: Cli, words: list[str], says: str) -> None:
    said = cli("convert", *words)
    assert said.code == 2
    assert said.out == ""
    assert says in said.sentence()
