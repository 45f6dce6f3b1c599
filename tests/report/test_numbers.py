"""Every number on the page equals a recomputation from the Parquet files by another path."""

import html
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import balanced_accuracy_score

from ridgeline import diagnose
from ridgeline.diagnosis import Curve, History
from ridgeline.report import Results
from ridgeline.report._fill import look_up, show
from ridgeline.report._judgement import from_numbers


class DataElements(HTMLParser):
    """Collects the page's numbers: (key, form, full value, shown text)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str, str]] = []
        self._open: tuple[str, str, str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "data":
            values = {key: value or "" for key, value in attrs}
            self._open = (values["data-key"], values["data-form"], values["value"])

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found.append((*self._open, data))
            self._open = None


@pytest.fixture(scope="module")
def page(run: Path) -> list[tuple[str, str, str, str]]:
    parser = DataElements()
    parser.feed((run / "report.html").read_text())
    return parser.found


@pytest.fixture(scope="module")
def results(run: Path) -> Any:
    return json.loads((run / "results.json").read_text())


class Recomputed:
    """The report's numbers again, with numpy loops instead of frames and joins."""

    def __init__(self, run: Path) -> None:
        self.trials = pl.read_parquet(run / "trials.parquet").to_dicts()
        self.curves = pl.read_parquet(run / "curves.parquet").to_dicts()
        self.examples: dict[tuple[str, str, str], dict[int, dict[str, Any]]] = {}
        for row in pl.read_parquet(run / "predictions.parquet").iter_rows(named=True):
            key = (row["trial_id"], row["set"], row["when"])
            self.examples.setdefault(key, {})[row["example"]] = row

    def of(self, arm: str) -> list[dict[str, Any]]:
        return [t for t in self.trials if t["arm"] == arm]

    def values(self, trial: dict[str, Any], metric: str, when: str = "last") -> dict[int, float]:
        name, column = metric.split("_")
        of = "correct" if column == "accuracy" else "loss"
        return {e: float(r[of]) for e, r in self.examples[trial["trial_id"], name, when].items()}

    def ci(self, by_seed: list[float], by_example: list[dict[int, float]] | None) -> dict[str, float]:
        mean, n = float(np.mean(by_seed)), len(by_seed)
        se2 = np.var(by_seed, ddof=1) / n
        if by_example is not None:
            pooled: dict[int, list[float]] = {}
            for seed in by_example:
                for example, value in seed.items():
                    pooled.setdefault(example, []).append(value)
            means = [np.mean(v) for v in pooled.values()]
            se2 += np.var(means, ddof=1) / len(means)
        half = stats.t.ppf(0.975, n - 1) * math.sqrt(se2)
        return {
            "mean": mean,
            "low": mean - half,
            "high": mean + half,
            "p": 2 * stats.t.sf(abs(mean) / math.sqrt(se2), n - 1) if se2 else float(mean == 0),
        }

    def metric(self, arm: str, metric: str) -> dict[str, float]:
        trials = self.of(arm)
        if metric.startswith("train"):
            return self.ci([t[f"final_{metric}"] for t in trials], None)
        seeds = [self.values(t, metric) for t in trials]
        return self.ci([float(np.mean(list(s.values()))) for s in seeds], seeds)

    def gap(self, arm: str) -> dict[str, float]:
        trials = self.of(arm)
        deltas = [t["final_val_loss"] - t["final_train_loss"] for t in trials]
        return self.ci(deltas, [self.values(t, "val_loss") for t in trials])

    def balanced(self, arm: str) -> dict[str, float]:
        found = []
        for trial in self.of(arm):
            rows = list(self.examples[trial["trial_id"], "val", "last"].values())
            label = np.array([r["label"] for r in rows])
            guess = np.where([r["correct"] for r in rows], label, (label + 1) % 10)
            found.append(float(balanced_accuracy_score(label, guess)))
        return self.ci(found, None)

    def difference(self, arm: str, baseline: str, metric: str) -> dict[str, float]:
        pairs = []
        for ours in self.of(arm):
            theirs = next(t for t in self.of(baseline) if t["seed"] == ours["seed"])
            a, b = self.values(ours, metric), self.values(theirs, metric)
            pairs.append({e: a[e] - b[e] for e in a})
        return self.ci([float(np.mean(list(p.values()))) for p in pairs], pairs)

    def last(self, arm: str, column: str) -> float:
        ids = [t["trial_id"] for t in self.of(arm)]
        found = [[c for c in self.curves if c["trial_id"] == i][-1][column] for i in ids]
        return float(np.mean(found))


@pytest.fixture(scope="module")
def again(run: Path) -> Recomputed:
    return Recomputed(run)


def close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=1e-5, abs_tol=1e-6)


def test_arms(results: Any, again: Recomputed) -> None:
    arms = results["arms"]
    base = arms[results["baseline"]]["arm"]
    checked = 0
    for arm in arms:
        label, final = arm["arm"], arm["final"]
        expected = {
            m: again.metric(label, m) for m in ("val_loss", "val_accuracy", "train_loss", "train_accuracy")
        }
        expected |= {"gap": again.gap(label), "balanced_accuracy": again.balanced(label)}
        for metric, numbers in expected.items():
            for part in ("mean", "low", "high"):
                assert close(final[metric][part], numbers[part]), (label, metric, part)
                checked += 1
        for column in ("penalty", "weight_norm", "zero_share"):
            assert close(final[column]["mean"], again.last(label, column))
        assert close(arm["best"]["val_loss"]["mean"], np.mean([t["best_val_loss"] for t in again.of(label)]))
        assert close(arm["best"]["step"]["mean"], np.mean([t["best_step"] for t in again.of(label)]))
        for metric, versus in (arm["versus"] or {}).items():
            for part in ("mean", "low", "high"):
                assert close(versus[part], again.difference(label, base, metric)[part]), (label, metric)
                checked += 1
    assert checked == 6 * 18 + 5 * 6


def test_holm_over_all_arms(results: Any, again: Recomputed) -> None:
    arms = results["arms"]
    base = arms[results["baseline"]]["arm"]
    others = [a for a in arms if a["versus"]]
    for metric in ("val_loss", "val_accuracy"):
        p = np.array([again.difference(a["arm"], base, metric)["p"] for a in others])
        order = np.argsort(p)
        stepped = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
        for rank, index in enumerate(order):
            assert close(others[index]["versus"][metric]["p_holm"], stepped[rank])


def test_choice_null_and_counts(results: Any, again: Recomputed, run: Path) -> None:
    means = [again.metric(a["arm"], "val_loss")["mean"] for a in results["arms"]]
    assert results["chosen"]["val_loss"] == int(np.argmin(means))
    plain = [i for i, a in enumerate(results["arms"]) if a["varied"]["regularization.strength"] == 0]
    assert results["baseline"] == min(plain, key=lambda i: means[i])
    seeds = {t["seed"]: t["null_val_loss"] for t in again.trials}
    assert close(results["null"]["val_loss"], float(np.mean(list(seeds.values()))))
    assert (results["n_arms"], results["n_seeds"], results["n_trials"]) == (6, 3, 18)
    assert results["comparisons"] == 5
    first = again.examples[again.trials[0]["trial_id"], "val", "last"].values()
    assert results["class_counts"] == {str(c): sum(r["label"] == c for r in first) for c in range(10)}


def test_rise(results: Any, again: Recomputed) -> None:
    for arm in results["arms"]:
        curves = np.array(
            [
                [c["val_loss"] for c in again.curves if c["trial_id"] == t["trial_id"]]
                for t in again.of(arm["arm"])
            ]
        )
        rises = []
        for seed in range(3):
            stop = np.argmin((curves.sum(0) - curves[seed]) / 2)
            rises.append(curves[seed, -1] - curves[seed, stop])
        examples = []
        for trial in again.of(arm["arm"]):
            last, best = again.values(trial, "val_loss"), again.values(trial, "val_loss", "best")
            examples.append({e: last[e] - best[e] for e in last})
        expected = again.ci(rises, examples)
        assert all(close(arm["rise"][part], expected[part]) for part in ("mean", "low", "high"))
        assert close(arm["rise"]["lowest"], curves.mean(0).min())
        assert arm["rise"]["step"] == 40 * int(curves.mean(0).argmin())
        train = np.array(
            [
                [c["train_loss"] for c in again.curves if c["trial_id"] == t["trial_id"]]
                for t in again.of(arm["arm"])
            ]
        )
        stops = [int(np.argmin((curves.sum(0) - curves[seed]) / 2)) for seed in range(3)]
        changes = again.ci([train[s, -1] - train[s, stop] for s, stop in enumerate(stops)], None)
        assert all(close(arm["rise"]["train"][part], changes[part]) for part in ("mean", "low", "high"))


def test_only_two_arms_open_the_test_set(results: Any, again: Recomputed) -> None:
    test = results["test"]
    assert test["opened"] == [results["baseline"], results["chosen"]["val_loss"]]
    labels = [results["arms"][i]["arm"] for i in test["opened"]]
    for label, numbers in zip(labels, test["arms"], strict=True):
        for metric in ("test_loss", "test_accuracy"):
            expected = again.metric(label, metric)
            assert all(close(numbers[metric][part], expected[part]) for part in ("mean", "low", "high"))
    for metric in ("test_loss", "test_accuracy"):
        expected = again.difference(labels[1], labels[0], metric)
        assert all(
            close(test["difference"][metric][part], expected[part]) for part in ("mean", "low", "high")
        )
    others = {a["arm"] for i, a in enumerate(results["arms"]) if i not in test["opened"]}
    assert len(others) == 4
    assert all("test" not in key for a in results["arms"] for key in a["final"])


def strength(arm: Any) -> tuple[float, float]:
    """Learning rate and strength: what makes an arm stronger than another."""
    return arm["varied"]["train.lr"], arm["varied"]["regularization.strength"]


def test_delta(results: Any) -> None:
    lowest = min(arm["rise"]["lowest"] for arm in results["arms"])
    assert close(results["delta"], 0.02 * (results["null"]["val_loss"] - lowest))
    assert close(results["large_gap"], 0.25 * (results["null"]["val_loss"] - lowest))


def test_what_the_arms_say_of_each_other(results: Any, again: Recomputed) -> None:
    """Each arm beside those of its learning rate: whom it is compared with, and by how much they differ."""
    arms = results["arms"]
    compared = 0
    for arm in arms:
        rate, own = strength(arm)
        stronger = [a for a in arms if strength(a)[0] == rate and strength(a)[1] > own]
        relation, effect = arm["relation"], arm["effect"]
        assert relation["tested"] == len(stronger)
        pairs = [(relation, arms[relation["against"]], arm)] if relation["against"] is not None else []
        assert (effect is None) == (own == 0)
        if effect is not None:
            assert strength(arms[effect["reference"]]) == (rate, 0)
            pairs.append((effect, arm, arms[effect["reference"]]))
        if arm["weaker"] is not None:
            pairs.append((arm["weaker"], arm, arms[arm["weaker"]["against"]]))
        for shown, one, other in pairs:
            assert strength(one)[1] > strength(other)[1]
            val = again.difference(one["arm"], other["arm"], "val_loss")
            train = [
                a["final_train_loss"] - b["final_train_loss"]
                for a, b in zip(again.of(one["arm"]), again.of(other["arm"]), strict=True)
            ]
            for metric, expected in (("val_loss", val), ("train_loss", again.ci(train, None))):
                assert close(shown[metric]["mean"], expected["mean"])
                # Holm's interval is no narrower than the one alone
                assert shown[metric]["low"] <= expected["low"] + 1e-6
                assert shown[metric]["high"] >= expected["high"] - 1e-6
                compared += 1
    assert compared >= 8


def test_effects_are_decided_by_delta_and_noise(results: Any) -> None:
    for arm in results["arms"]:
        effect = arm["effect"]
        if effect is None:
            continue
        val = effect["val_loss"]
        proven = (val["low"] > 0 or val["high"] < 0) and abs(val["mean"]) >= results["delta"]
        if effect["kind"] in ("helps", "hurts"):
            assert proven
            assert (effect["kind"] == "helps") == (val["mean"] < 0)
        elif effect["kind"] != "saturated":
            assert not proven


def test_verdicts(results: Any, again: Recomputed, run: Path) -> None:
    """Each verdict again, from the tables by loops; between arms it may gain evidence or turn to overfitting."""
    stored = Results.open(run).verdicts()
    for arm in results["arms"]:
        histories = []
        for trial in again.of(arm["arm"]):
            rows = [c for c in again.curves if c["trial_id"] == trial["trial_id"]]
            steps = [float(r["step"]) for r in rows]
            roles = ("train_loss", "val_loss", "train_accuracy", "val_accuracy", "penalty", "lr")
            curves: Any = {role: Curve.of([float(r[role]) for r in rows], steps, role) for role in roles}
            histories.append(History(curves, arm["arm"], str(trial["seed"])))
        alone = diagnose(
            histories,
            null_loss=results["null"]["val_loss"],
            n_classes=len(results["class_counts"]),
            delta=results["delta"],
        )
        verdict = arm["verdict"]
        assert verdict == stored[arm["arm"]].as_dict()
        assert from_numbers(verdict).kind == verdict["kind"]
        assert verdict["features"] == alone.as_dict()["features"]
        if arm["weaker"] is None and arm["relation"]["kind"] != "overfitting":
            assert verdict["kind"] == alone.kind
            assert verdict["confidence"] == alone.confidence
            assert verdict["evidence"][: len(alone.evidence)] == list(alone.evidence)
        if arm["relation"]["kind"] == "overfitting":
            assert verdict["kind"] in ("diverged", "undertrained", "overfitting")


def test_the_page_shows_these_numbers(page: list[tuple[str, str, str, str]], results: Any) -> None:
    assert len(page) > 150
    for key, form, full, shown in page:
        value = look_up(results, key)
        assert full == ("" if value is None else repr(value)), key
        assert shown == show(value, form), key


def test_the_answer_is_in_the_page_and_numbered(run: Path, results: Any) -> None:
    text = re.sub(r"<[^>]+>", "", (run / "report.html").read_text())
    for sentence in results["answer"]:
        assert sentence in text


def test_every_verdict_is_in_the_page(run: Path, results: Any) -> None:
    page = (run / "report.html").read_text()
    table = page[page.index('<table id="verdicts">') :]
    table = table[: table.index("</table>")]
    text = html.unescape(re.sub(r"<[^>]+>", "", table))
    for arm in results["arms"]:
        verdict = arm["verdict"]
        assert verdict["kind"].replace("_", " ") in text
        assert all(sentence in text for sentence in verdict["evidence"])
        assert all(sentence in text for sentence in verdict["advice"][:1])
        if arm["effect"]:
            assert arm["effect"]["kind"] in text
    assert table.count("<tr>") == 1 + len(results["arms"])
