"""Judgement between arms: planted worlds get the planted answer, equal arms are seldom told apart."""

from collections.abc import Mapping

import numpy as np
import pytest

from ridgeline.diagnosis._arms import differences, paired, ten_times
from ridgeline.diagnosis.between import (
    ArmEnd,
    PerExample,
    StudyJudgement,
    judge_study,
    resamples_for,
    stopping,
    stronger,
    what_counts,
)
from ridgeline.statistics import holm_intervals, interval

NULL = 2.3
DELTA = 0.04  # of a study whose lowest loss is .3


def arm(
    rng: np.random.Generator,
    name: str,
    val: float,
    train: float,
    *,
    seeds: int = 5,
    n_eval: int = 400,
    amounts: Mapping[str, float] | None = None,
    rest: Mapping[str, object] | None = None,
    stop: tuple[str, float] = ("", 100.0),
    shared: np.ndarray | None = None,
) -> ArmEnd:
    """An arm whose examples differ by .2 from arm to arm, beside what all arms share, and whose seeds do by .005."""
    common = np.zeros(n_eval) if shared is None else shared
    own = rng.normal(0, 0.2, n_eval)
    losses = val + common + own + rng.normal(0, 0.1, (seeds, n_eval)) + rng.normal(0, 0.005, (seeds, 1))
    return ArmEnd(
        name=name,
        val={s: float(losses[s].mean()) for s in range(seeds)},
        train={s: train + float(rng.normal(0, 0.003)) for s in range(seeds)},
        examples={s: PerExample(np.arange(n_eval), losses[s]) for s in range(seeds)},
        amounts=amounts or {},
        rest=rest or {},
        stop=stop[0],
        stopped=stop[1],
    )


def world(seed: int, *ends: tuple[float, float, float], seeds: int = 5, n_eval: int = 400) -> StudyJudgement:
    """A study of L2 arms, each (strength, validation loss, training loss), judged with δ = .04."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.5, n_eval)
    arms = [
        arm(
            rng,
            f"{strength:g}",
            val,
            train,
            seeds=seeds,
            n_eval=n_eval,
            amounts={"L2": strength} if strength else {},
            shared=shared,
        )
        for strength, val, train in ends
    ]
    return judge_study(arms, 0, NULL, best_loss=0.3)


def test_delta_is_2_percent_of_what_there_is_to_learn() -> None:
    assert what_counts(NULL, 0.3) == pytest.approx(DELTA)
    assert what_counts(2.0, 3.0) == pytest.approx(0.04)  # nothing learned: of the null loss
    assert world(0, (0, 0.5, 0.1)).delta == pytest.approx(DELTA)


@pytest.mark.parametrize("seed", range(5))
def test_a_stronger_arm_that_generalizes_better_with_a_higher_training_loss_shows_overfitting(
    seed: int,
) -> None:
    found = world(seed, (0, 0.60, 0.05), (1e-3, 0.45, 0.10), (1e-2, 0.40, 0.30))
    relation = found.relations[0]
    assert (relation.kind, relation.against, relation.tested) == ("overfitting", 2, (1, 2))
    assert relation.difference is not None
    assert relation.difference.val.mean == pytest.approx(-0.20, abs=0.03)
    assert relation.difference.train.mean == pytest.approx(0.25, abs=0.01)
    assert relation.confidence == 1.0
    assert found.relations[2].kind == "untested"  # there is no stronger one
    assert [e and e.kind for e in found.effects] == [None, "helps", "helps"]
    assert found.best == 2


@pytest.mark.parametrize("seed", range(5))
def test_an_arm_that_is_better_on_both_is_better_optimized(seed: int) -> None:
    found = world(seed, (0, 0.60, 0.40), (1e-3, 0.45, 0.20))
    assert found.relations[0].kind == "optimization"
    assert found.relations[0].confidence is None


@pytest.mark.parametrize("seed", range(5))
def test_of_an_arm_that_fits_alike_neither_is_said(seed: int) -> None:
    assert world(seed, (0, 0.60, 0.20), (1e-3, 0.45, 0.20)).relations[0].kind == "better"


def test_overfitting_is_said_before_optimization() -> None:
    found = world(1, (0, 0.60, 0.20), (1e-3, 0.40, 0.10), (1e-2, 0.45, 0.30))
    assert (found.relations[0].kind, found.relations[0].against) == ("overfitting", 2)


def test_less_than_delta_is_not_worth_a_word() -> None:
    found = world(2, (0, 0.60, 0.05), (1e-3, 0.58, 0.10), n_eval=40_000)
    assert found.relations[0].kind == "none"
    effect = found.effects[1]
    assert effect is not None
    assert effect.kind == "acts"
    assert effect.difference.val.excludes_zero  # it is there, and too small


@pytest.mark.parametrize("seed", range(5))
def test_an_arm_that_changes_neither_loss_is_negligible(seed: int) -> None:
    found = world(seed, (0, 0.60, 0.05), (1e-6, 0.60, 0.051), n_eval=4000)
    effect = found.effects[1]
    assert effect is not None
    assert effect.kind == "negligible"
    assert found.relations[0].kind == "none"


@pytest.mark.parametrize("seed", range(5))
def test_ten_times_the_strength_that_changes_nothing_more_is_saturation(seed: int) -> None:
    found = world(seed, (0, 0.6, 0.2), (0.1, 1.2, 1.3), (1.0, 2.3, 2.3), (10.0, 2.3, 2.3), n_eval=4000)
    assert [e and e.kind for e in found.effects] == [None, "hurts", "saturated", "saturated"]
    assert [e and e.plateau for e in found.effects] == [None, None, 3, 2]
    twice = world(seed, (0, 0.6, 0.2), (1.0, 2.3, 2.3), (2.0, 2.3, 2.3), n_eval=4000)
    assert [e and e.kind for e in twice.effects] == [None, "hurts", "hurts"]  # ten times was not tried


def test_what_helps_and_saturates_helps() -> None:
    found = world(3, (0, 0.6, 0.2), (1.0, 0.4, 0.3), (10.0, 0.4, 0.3), n_eval=4000)
    assert [e and (e.kind, e.plateau) for e in found.effects] == [None, ("helps", 2), ("helps", 1)]


def test_few_examples_leave_it_undecided_or_unproven() -> None:
    found = world(4, (0, 0.60, 0.05), (1e-3, 0.60, 0.05), (1e-2, 0.60, 0.30), n_eval=20)
    assert [e and e.kind for e in found.effects[1:]] == ["undecided", "acts"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_decide_nothing(seeds: int) -> None:
    found = world(5, (0, 0.60, 0.05), (1e-3, 0.30, 0.30), seeds=seeds)
    assert found.relations[0].kind == "untested"
    assert found.effects[1] is not None
    assert found.effects[1].kind == "undecided"
    assert found.weaker == (None, None)
    assert found.trailing == (False, False)


@pytest.mark.parametrize("seed", range(5))
def test_over_regularized_only_where_a_weaker_arm_is_better_on_both(seed: int) -> None:
    found = world(seed, (0, 0.60, 0.05), (1e-2, 0.40, 0.30), (1.0, 0.90, 0.85))
    assert found.weaker[:2] == (None, None)  # the middle arm fits less and generalizes better
    assert found.weaker[2] is not None
    assert found.weaker[2][0] == 1
    assert found.weaker[2][1].train.mean == pytest.approx(0.55, abs=0.02)
    assert found.trailing == (False, False, True)
    assert found.effects[2] is not None
    assert found.effects[2].kind == "hurts"


def test_a_higher_training_loss_alone_does_not_trail() -> None:
    found = world(6, (0, 0.40, 0.05), (1e-2, 0.40, 0.30), n_eval=4000)
    assert found.trailing == (False, False)


def shares(worlds: list[StudyJudgement]) -> dict[str, float]:
    """In what share of the studies something is said of any arm."""
    said = {
        "helps": [any(e and e.kind == "helps" for e in w.effects) for w in worlds],
        "hurts": [any(e and e.kind == "hurts" for e in w.effects) for w in worlds],
        "overfitting": [w.relations[0].kind == "overfitting" for w in worlds],
        "over-regularized": [any(w.weaker) for w in worlds],
        "trailing": [any(w.trailing) for w in worlds],
    }
    return {name: float(np.mean(found)) for name, found in said.items()}


@pytest.mark.parametrize(("seeds", "n_eval"), [(3, 200), (5, 200), (5, 1000), (10, 400)])
def test_equal_arms_are_seldom_told_apart(seeds: int, n_eval: int) -> None:
    """400 studies of a baseline and four arms that train otherwise but generalize alike; each draws its examples."""
    ends = [(0, 0.5, 0.05), (1e-4, 0.5, 0.1), (1e-3, 0.5, 0.15), (1e-2, 0.5, 0.2), (1e-1, 0.5, 0.25)]
    found = shares([world(k, *ends, seeds=seeds, n_eval=n_eval) for k in range(400)])
    assert all(share <= 0.05 for share in found.values()), found
    assert found["helps"] + found["hurts"] <= 0.07, found


def test_intervals_over_seeds_alone_would_be_fooled() -> None:
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(200):
        base, other = (arm(rng, "a", 0.5, t, amounts={"L2": t} if t else {}, n_eval=100) for t in (0.0, 0.1))
        blind = [ArmEnd(a.name, a.val, a.train, amounts=a.amounts) for a in (base, other)]
        judged = judge_study(blind, 0, 0.6, best_loss=0.5)
        said += any(e and e.kind in ("helps", "hurts") for e in judged.effects)
    assert said / 200 > 0.3


def test_the_order_of_arms() -> None:
    def made(stop: tuple[str, float] = ("", 100.0), lr: float = 0.1, **amounts: float) -> ArmEnd:
        return ArmEnd("x", {}, {}, amounts=amounts, rest={"train.lr": lr}, stop=stop[0], stopped=stop[1])

    plain, l2, more = made(), made(l2=0.1), made(l2=1.0)
    assert stronger(l2, plain)
    assert stronger(more, l2)
    assert not stronger(plain, l2)
    assert not stronger(l2, l2)
    assert not stronger(made(l1=0.1), l2)  # another axis
    assert stronger(made(l1=0.1, l2=0.1), l2)
    assert not stronger(made(l1=0.1, l2=0.05), l2)  # more of one, less of the other
    assert not stronger(made(lr=0.2, l2=1.0), plain)
    assert stronger(made(("50", 50)), made(("100", 100)))
    assert not stronger(made(("100", 100)), made(("50", 50)))
    assert stronger(made(("50", 50), l2=0.1), made(("100", 100)))
    assert not stronger(made(("50", 50)), made(("100", 100), l2=0.1))
    # one rule of stopping for all: where each stops is an outcome
    assert stronger(made(("es", 90), l2=0.1), made(("es", 70)))
    assert ten_times(more, l2)
    assert not ten_times(made(l2=0.99), l2)
    assert not ten_times(l2, plain)
    assert ten_times(made(l2=0.3), made(l2=0.03))


def test_another_learning_rate_is_another_axis_with_its_own_reference() -> None:
    rng = np.random.default_rng(7)
    ends = [(0.1, 0.0, 0.60), (0.1, 1e-2, 0.40), (0.3, 0.0, 0.80), (0.3, 1e-2, 0.40)]
    arms = [
        arm(rng, "x", val, 0.1 + s, amounts={"L2": s} if s else {}, rest={"train.lr": lr})
        for lr, s, val in ends
    ]
    found = judge_study(arms, 0, NULL)
    assert [e and e.reference for e in found.effects] == [None, 0, None, 2]
    assert [r.against for r in found.relations] == [1, None, 3, None]


def test_where_every_arm_is_regularized_the_weakest_is_the_reference() -> None:
    rng = np.random.default_rng(8)
    arms = [arm(rng, "x", v, s, amounts={"L2": s}) for s, v in ((0.1, 0.5), (0.01, 0.6), (1.0, 0.9))]
    found = judge_study(arms, 0, NULL)
    assert [e and e.reference for e in found.effects] == [1, None, 1]


def test_an_arm_without_a_finished_seed_is_compared_with_none() -> None:
    rng = np.random.default_rng(9)
    arms = [
        arm(rng, "a", 0.6, 0.1),
        ArmEnd("gone", {}, {}, amounts={"L2": 0.1}),
        arm(rng, "b", 0.4, 0.3, amounts={"L2": 1.0}),
    ]
    found = judge_study(arms, 0, NULL)
    assert found.relations[0].tested == (2,)
    assert found.relations[1].kind == "untested"
    assert found.effects[1] is None
    assert found.effects[2] is not None
    assert found.effects[2].kind == "helps"


def brute_force(one: ArmEnd, other: ArmEnd) -> tuple[list[float], np.ndarray]:
    """Paired differences by loops over dictionaries."""
    by_seed, pooled = [], dict[int, list[float]]()
    for seed, value in one.val.items():
        if seed not in other.val:
            continue
        by_seed.append(value - other.val[seed])
        ours = dict(zip(one.examples[seed].ids, one.examples[seed].losses, strict=True))
        theirs = dict(zip(other.examples[seed].ids, other.examples[seed].losses, strict=True))
        for example in ours:
            if example in theirs:
                pooled.setdefault(int(example), []).append(ours[example] - theirs[example])
    return by_seed, np.array([np.mean(pooled[example]) for example in sorted(pooled)])


@pytest.mark.parametrize("split", ["same", "by seed", "by arm"])
def test_pairs_against_loops_over_dictionaries(split: str) -> None:
    """Validation examples may be the same for all, differ from seed to seed, or even from arm to arm."""
    rng = np.random.default_rng(10)
    ends = []
    for which in range(2):
        examples = {}
        for seed in range(4):
            key = {"same": 0, "by seed": seed, "by arm": 10 * which + seed}[split]
            ids = np.sort(np.random.default_rng(key).choice(50, 30, replace=False))
            examples[seed] = PerExample(ids, rng.normal(0.5, 0.1, 30))
        val = {seed: float(e.losses.mean()) for seed, e in examples.items()}
        ends.append(ArmEnd("x", val, dict.fromkeys(range(3 + which), 0.1), examples))
    found = paired(ends[0], ends[1], "val")
    assert found is not None
    by_seed, by_example = brute_force(*ends)
    assert found[0] == pytest.approx(by_seed)
    assert found[1] == pytest.approx(by_example)
    (difference,) = differences([(ends[0], ends[1])])
    assert difference is not None
    assert difference.val == difference.val_alone == interval(*found)
    assert difference.train.n_seeds == 3


def test_differences_are_those_of_holm() -> None:
    rng = np.random.default_rng(11)
    base = arm(rng, "base", 0.5, 0.1)
    others = [arm(rng, "x", 0.5 - 0.05 * k, 0.1 + 0.1 * k) for k in range(4)]
    found = differences([(other, base) for other in others])
    expected = holm_intervals([brute_force(other, base) for other in others])
    for one, want in zip(found, expected, strict=True):
        assert one is not None
        assert (one.val.low, one.val.high, one.val.p) == pytest.approx((want.low, want.high, want.p))


def test_early_stopping_is_judged_with_the_step_that_the_other_seeds_choose() -> None:
    """On flat noise the step that a seed chooses itself would seem to save something; the others' does not."""
    rng = np.random.default_rng(12)
    shown = own = 0
    for _ in range(300):
        val, train = rng.normal(0.5, 0.05, (5, 60)), np.linspace(1.0, 0.1, 60) * np.ones((5, 1))
        found = stopping(np.arange(60), val, train)
        shown += found.rise.size.low is not None and found.rise.size.low > 0
        naive = interval((val[:, -1] - val.min(axis=1)).tolist())
        own += naive.low is not None and naive.low > 0
        assert found.train.mean <= 0
    assert shown / 300 <= 0.06
    assert own / 300 > 0.9


def test_how_many_resamples_so_many_arms_leave_time_for() -> None:
    assert [resamples_for(n) for n in (1, 25, 100, 101, 10_000)] == [200, 200, 50, 0, 0]
