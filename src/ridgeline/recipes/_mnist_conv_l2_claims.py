"""S0's claims about the gap between training and test accuracy, and the names of its arms."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from ridgeline.recipes._evidence import (
    accuracy_gap,
    by_seed,
    curve,
    difference,
    numbers,
    over_examples,
    place_of,
    places,
    span,
)
from ridgeline.recipes._recipe import Evidence, Judgement, Outcome, Place
from ridgeline.statistics import Interval, decide, interval

MODELS = ("one-conv", "two-conv")
STRENGTHS = (0.004, 0.04, 0.4, 4.0, 40.0)
RECORDS = tuple(range(1, 1_000, 100))
DEAD = "l2-as-published"
LAST = "output.weight"
# The last records that the source prints: accuracy on 1,000 training images, on 1,000 test images.
PUBLISHED = {"none": (0.962, 0.956), "l2": (0.947, 0.953), "dropout": (0.944, 0.947)}
GAP_OF_LAST_5 = 0.0082


def arm(model: str, kind: str, strength: float = STRENGTHS[0]) -> str:
    """The label of an arm; the source's own strength goes without saying."""
    return f"{model}, {kind}" + ("" if strength == STRENGTHS[0] else f" λ = {strength:g}")


def lacking(evidence: Evidence, *arms: str) -> Judgement | None:
    """Undecided, with the reason, unless some seed finished in all these arms."""
    finished = [set(by_seed(evidence.results, label, pl.col("seed"))) for label in arms]
    if set.intersection(*finished):
        return None
    empty = [label for label, seeds in zip(arms, finished, strict=True) if not seeds]
    return Judgement("undecided", f"no seed finished in {', '.join(empty) or 'all of ' + ', '.join(arms)}.")


def records(evidence: Evidence, label: str) -> pl.DataFrame:
    """seed, step, train, test: the accuracies at the source's own records."""
    found = curve(evidence.results, label, "train_1000_accuracy", "test_1000_accuracy")
    found = found.rename({"train_1000_accuracy": "train", "test_1000_accuracy": "test"})
    done = list(by_seed(evidence.results, label, pl.col("seed")))
    return found.filter(pl.col("step").is_in(RECORDS) & pl.col("seed").is_in(done))


def _last_record(evidence: Evidence, label: str, published: tuple[float, float]) -> tuple[str, Place]:
    """Our means at the last record as text, and whether both published figures could be one of our runs."""
    rows = records(evidence, label).filter(pl.col("step") == RECORDS[-1])
    if rows.is_empty():
        return "–", "–"
    ours = [rows[column].to_list() for column in ("train", "test")]
    means = [sum(one) / len(one) for one in ours]
    return " / ".join(f"{mean:.3f}" for mean in means), places(zip(published, ours, strict=True))


def claim_train_exceeds_test(evidence: Evidence) -> Judgement:
    """share of the 10 records with train > test; reproduced if the lower bound of its mean over seeds > .5,
    refuted if the upper < .5; figure: mean gap of the last 5 records, .0082
    """
    label = arm("one-conv", "none")
    if no := lacking(evidence, label):
        return no
    rows = records(evidence, label).with_columns(gap=pl.col("train") - pl.col("test"))
    if rows["step"].n_unique() < len(RECORDS):
        return Judgement("undecided", f"the run has {rows['step'].n_unique()} of the source's 10 records.")
    shares = rows.group_by("seed").agg((pl.col("gap") > 0).mean().alias("share"))["share"].to_list()
    late = rows.filter(pl.col("step") >= RECORDS[-5]).group_by("seed").agg(pl.col("gap").mean())
    gaps = late["gap"].to_list()
    share, gap = interval(shares), interval(gaps)
    above = interval([one - 0.5 for one in shares])
    said = (
        f"train is above test at {span(share, '.2f')} of the records, over {len(shares)} seeds; the gap of the "
        f"last 5 is {span(gap, '+.4f')}."
    )
    found = {"share": numbers(share), "gap_of_last_5": numbers(gap)}
    ours = f"{10 * share.mean:.1f} of 10; gap {gap.mean:.4f}"
    return Judgement(decide(above), said, ours, place_of(GAP_OF_LAST_5, gaps), found)


def claim_overfits(evidence: Evidence) -> Judgement:
    """gap on whole sets at step 1,000, δ = .005"""
    label = arm("one-conv", "none")
    if no := lacking(evidence, label):
        return no
    gap = over_examples(accuracy_gap(evidence.results, label))
    ours, place = _last_record(evidence, label, PUBLISHED["none"])
    found: dict[str, Any] = {"gap": numbers(gap)}
    said = f"train − test accuracy is {span(gap, '+.4f')} on the whole sets"
    twice = arm("one-conv", "none scaled-twice")
    if not lacking(evidence, twice):  # the optional arm
        other = over_examples(accuracy_gap(evidence.results, twice))
        found["gap_scaled_twice"] = numbers(other)
        said += f"; with pixels divided by 255 twice, {span(other, '+.4f')}"
    return Judgement(decide(gap, 0.005), f"{said}.", ours, place, found)


def claim_l2_shrinks_the_gap(evidence: Evidence) -> Judgement:
    """gap(none) − gap(arm), whole sets, δ = .003; Δ test accuracy (δ = .002) is printed beside it: a gap closed
    without a better test accuracy is not praised (published test accuracy *fell* in both)
    """
    found = _shrinks(evidence, "l2", DEAD)
    dead = arm("one-conv", DEAD)
    if found.numbers and not lacking(evidence, arm("one-conv", "none"), dead):
        as_published = _closed(evidence, "one-conv", DEAD)
        found.numbers["as published"] = numbers(as_published)
    return found


def claim_dropout_shrinks_the_gap(evidence: Evidence) -> Judgement:
    """gap(none) − gap(arm), whole sets, δ = .003; Δ test accuracy (δ = .002) is printed beside it: a gap closed
    without a better test accuracy is not praised (published test accuracy *fell* in both)
    """
    return _shrinks(evidence, "dropout", "dropout")


def _closed(evidence: Evidence, model: str, kind: str) -> Interval:
    results = evidence.results
    return over_examples(accuracy_gap(results, arm(model, "none")), accuracy_gap(results, arm(model, kind)))


def _shrinks(evidence: Evidence, kind: str, ran: str) -> Judgement:
    """The claim about one-conv, the other model and l2-all beside it; `ran`: what the source's run really was."""
    none, ours = arm("one-conv", "none"), arm("one-conv", kind)
    if no := lacking(evidence, none, ours):
        return no
    found: dict[str, Any] = {}
    for model, other in [
        ("one-conv", kind),
        *([("one-conv", "l2-all")] if kind == "l2" else []),
        ("two-conv", kind),
    ]:
        label = arm(model, other)
        if lacking(evidence, arm(model, "none"), label):
            continue
        better = difference(evidence.results, label, arm(model, "none"), "test", "correct")
        assert better is not None  # a seed finished in both
        closed = _closed(evidence, model, other)
        found[label] = {
            "closed": numbers(closed),
            "outcome": decide(closed, 0.003),
            "test_accuracy": numbers(better),
            "test_outcome": decide(better, 0.002),
        }
    closed, better = _closed(evidence, "one-conv", kind), found[ours]["test_accuracy"]
    outcome = decide(closed, 0.003)
    gap = over_examples(accuracy_gap(evidence.results, none)).mean
    said = (
        f"the gap {gap:.4f} becomes {gap - closed.mean:.4f}: closed by {span(closed, '+.4f')}; test accuracy changes "
        f"by {_text(better, '+.4f')}"
    )
    if outcome == "reproduced" and found[ours]["test_outcome"] != "reproduced":
        said += ", so the gap closes without a better test accuracy"
    shown, place = "–", "–"
    if not lacking(evidence, arm("one-conv", ran)):
        shown, place = _last_record(evidence, arm("one-conv", ran), PUBLISHED[kind])
    return Judgement(outcome, f"{said}.", shown, place, found)  # type: ignore[arg-type]  # a Place


def _text(found: Mapping[str, Any], form: str) -> str:
    if found["low"] is None:
        return format(found["mean"], form)
    return f"{found['mean']:{form}} [{found['low']:{form}}, {found['high']:{form}}]"


def claim_two_conv_overfits_little(evidence: Evidence) -> Judgement:
    """whole-set gap: upper(I) < .005 reproduced, lower(I) > .005 refuted"""
    label = arm("two-conv", "none")
    if no := lacking(evidence, label):
        return no
    gap = over_examples(accuracy_gap(evidence.results, label))
    said = f"two-conv's train − test accuracy is {span(gap, '+.4f')} on the whole sets."
    outcome: Outcome = "undecided"
    if gap.low is not None and gap.high is not None and gap.n_seeds >= 5:
        outcome = "reproduced" if gap.high < 0.005 else "refuted" if gap.low > 0.005 else "undecided"
    return Judgement(outcome, said, f"gap {gap.mean:.4f}", numbers={"gap": numbers(gap)})
