"""Every number on the page equals a recomputation from the Parquet files by another path."""

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

from ridgeline.report._fill import look_up, show


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
