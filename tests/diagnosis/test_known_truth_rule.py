"""The rule that labels known truth, and the scores against it, on planted ends."""

import numpy as np
import pytest

from benchmarks.known_truth.rule import End, advantage, delta_of, has_stronger, on_axis, truth_of
from benchmarks.known_truth.scores import by_task, counts_of, draws_of, f1_scores, macro_f1, spread

_N = 2_000
_DELTA = 0.02
_SHARED = np.random.default_rng(0).exponential(1.0, _N)  # what two arms' losses of one example have in common


def end(
    loss: float,
    train: float,
    *,
    l2: float = 0.0,
    dropout: float = 0.0,
    stop: int = 100,
    rest: str = "",
    noise: float = 0.01,
    seed: int = 0,
) -> End:
    """An end whose mean test loss is `loss`, over paired examples."""
    own = np.random.default_rng(seed + stop).standard_normal(_N)
    losses = _SHARED - _SHARED.mean() + loss + noise * (own - own.mean())
    return End({"l2": l2, "dropout": dropout}, rest, stop, train, losses)


def test_delta_is_a_share_of_what_there_was_to_learn() -> None:
    assert delta_of(2.3, [1.0, 0.3, 0.8]) == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (end(0.5, 0.2, l2=0.1), True),
        (end(0.5, 0.2, dropout=0.1), True),
        (end(0.5, 0.2, stop=50), True),
        (end(0.5, 0.2, stop=150), False),
        (end(0.5, 0.2, l2=0.1, stop=50), False),
        (end(0.5, 0.2, l2=0.1, dropout=0.1), False),
        (end(0.5, 0.2, l2=0.1, rest="lr×3"), False),
        (end(0.5, 0.2, stop=50, rest="lr×3"), False),
        (end(0.5, 0.2), False),
    ],
)
def test_what_lies_on_an_axis(other: End, expected: bool) -> None:
    assert on_axis(other, end(0.5, 0.1)) is expected


def test_a_weaker_penalty_is_not_on_the_axis() -> None:
    assert not on_axis(end(0.5, 0.1), end(0.5, 0.2, l2=0.1))


def test_an_arm_is_tested_by_a_stronger_one_at_its_own_stop() -> None:
    a, earlier, later = end(0.5, 0.1), end(0.5, 0.2, stop=50), end(0.5, 0.2, l2=0.1, stop=150)
    stronger = end(0.5, 0.2, l2=0.1)
    assert not has_stronger(a, [a, earlier, later])
    assert has_stronger(a, [a, stronger])
    assert not has_stronger(stronger, [a, stronger])


@pytest.mark.parametrize(
    ("gain", "label"),
    [
        (0.05, "overfit"),
        (0.021, "overfit"),
        (0.015, "ambiguous"),
        (0.0099, "not overfit"),
        (-0.1, "not overfit"),
    ],
)
@pytest.mark.parametrize("axis", ["stronger", "earlier"])
def test_the_label_follows_the_rival_s_advantage(gain: float, label: str, axis: str) -> None:
    a = end(0.5, 0.1)
    b = end(0.5 - gain, 0.2, l2=0.1) if axis == "stronger" else end(0.5 - gain, 0.2, stop=50)
    found = truth_of(a, [a, b], _DELTA)
    assert found.label == label
    assert found.advantage == pytest.approx(gain)
    assert found.against == b.name


def test_one_that_fits_training_better_is_optimization_and_no_rival() -> None:
    a, b = end(0.5, 0.1), end(0.3, 0.05, l2=0.1)
    assert truth_of(a, [a, b], _DELTA).label == "not overfit"
    assert truth_of(a, [a, b], _DELTA).advantage is None


def test_an_advantage_inside_the_noise_of_the_examples_is_ambiguous() -> None:
    a, b = end(0.5, 0.1), end(0.475, 0.2, l2=0.1, noise=1.0, seed=1)
    found = truth_of(a, [a, b], _DELTA)
    assert found.advantage is not None
    assert found.advantage > _DELTA
    assert found.low is not None
    assert found.low < 0
    assert found.label == "ambiguous"


def test_the_interval_is_of_the_paired_differences() -> None:
    a, b = end(0.5, 0.1), end(0.45, 0.2, l2=0.1, seed=1)
    differences = a.losses - b.losses
    expected = differences.mean() - 1.96 * differences.std(ddof=1) / np.sqrt(_N)
    assert advantage(a.losses, b.losses) == pytest.approx((differences.mean(), expected))
    # the two samples' own spread is that of the examples, forty times as wide
    assert expected > differences.mean() - 0.002


def test_one_high_step_makes_no_overfitting() -> None:
    earlier, before = end(0.5, 0.3, stop=50), end(0.505, 0.2, stop=95)
    high = end(0.54, 0.1, stop=100)
    assert truth_of(high, [earlier, high], _DELTA).label == "overfit"
    assert truth_of(high, [earlier, before, high], _DELTA).label == "ambiguous"
    risen = end(0.53, 0.2, stop=95)
    assert truth_of(high, [earlier, risen, high], _DELTA).label == "overfit"


def test_the_end_just_before_is_no_rival() -> None:
    before, high = end(0.5, 0.2, stop=95), end(0.54, 0.1, stop=100)
    assert truth_of(high, [before, high], _DELTA).label == "not overfit"


def test_counts_and_scores_on_planted_answers() -> None:
    truth = np.array([True] * 10 + [False] * 20)
    said = np.array([True] * 8 + [False] * 2 + [True] * 4 + [False] * 16)
    counts = counts_of(truth, said)
    assert counts.tolist() == [8.0, 2.0, 4.0, 16.0]
    assert f1_scores(counts).tolist() == pytest.approx([16 / 22, 32 / 38])
    assert float(macro_f1(counts)) == pytest.approx(0.5 * (16 / 22 + 32 / 38))
    assert float(macro_f1(counts_of(truth, truth))) == 1.0
    assert float(macro_f1(counts_of(truth, ~truth))) == 0.0


def test_counts_by_task_sum_to_the_whole() -> None:
    random = np.random.default_rng(0)
    tasks = [f"task-{i}" for i in random.integers(5, size=200)]
    truth, said = random.random(200) < 0.5, random.random(200) < 0.5
    found = by_task(tasks, truth, said)
    assert found.shape == (5, 4)
    assert found.sum(0).tolist() == counts_of(truth, said).tolist()


def test_draws_take_as_many_tasks_as_there_are() -> None:
    draws = draws_of(7, 50)
    assert draws.shape == (50, 7)
    assert (draws.sum(1) == 7).all()


def test_the_bootstrap_knows_that_tasks_differ() -> None:
    good, poor = [20.0, 0.0, 0.0, 20.0], [10.0, 10.0, 10.0, 10.0]
    alike = spread(np.array([good] * 10))
    mixed = spread(np.array([good, poor] * 5))
    assert (alike.low, alike.value, alike.high) == (1.0, 1.0, 1.0)
    assert mixed.value == pytest.approx(0.75)
    # the share of good tasks among ten drawn has a standard deviation of .158, and each is worth half a point
    assert mixed.high - mixed.low == pytest.approx(2 * 1.96 * 0.158 * 0.5, abs=0.08)


def test_differences_are_paired_over_tasks() -> None:
    random = np.random.default_rng(0)
    right = random.integers(2, 20, size=(12, 2)).astype(np.float64)
    ours = np.stack([right[:, 0], 20 - right[:, 0], 20 - right[:, 1], right[:, 1]], axis=1)
    theirs = ours + np.array([-1.0, 1.0, 1.0, -1.0])  # one history in twenty worse in every task
    alone, paired = spread(ours), spread(ours, theirs)
    assert paired.value == pytest.approx(0.05, abs=0.01)
    assert paired.low > 0.03
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
    same = spread(ours, ours)
    assert (same.low, same.value, same.high) == (0.0, 0.0, 0.0)
