"""The answer in words: does it overfit, does a penalty help, what limits the statement."""

from typing import Any

from ridgeline.report._fill import plain
from ridgeline.report._paragraph import paragraph, rises

_LEVEL = 0.05


def answer(numbers: dict[str, Any]) -> list[str]:
    """The sentences of the page's answer, the headline first."""
    templates = [headline(numbers), *paragraph(numbers), *details(numbers)]
    return [plain(template, numbers) for template in templates]


def headline(numbers: dict[str, Any]) -> str:
    """One sentence, as a template over the report's numbers."""
    if numbers["baseline"] is None:
        return "Every arm has a diverged seed, so nothing can be compared; lower the learning rate."
    against = _shown_beside(numbers)
    helped = "" if against is not None and against == _proven(numbers) else _help(numbers)
    return f"{_overfitting(numbers)}{'; ' if helped else ''}{helped}."


def _overfitting(numbers: dict[str, Any]) -> str:
    i = numbers["baseline"]
    arm = numbers["arms"][i]
    rise, low, high = arm["rise"], arm["rise"]["low"], arm["rise"]["high"]
    who = f"the arm {arm['arm']}" if arm["regularization"] else "the model without a penalty"
    end = f"{{arms.{i}.final.val_loss.mean:.3f}}"
    course = (
        f"validation loss goes from {{arms.{i}.rise.lowest:.3f}} at step {{arms.{i}.rise.step:d}} to {end}"
    )
    interval = f"(rise {{arms.{i}.rise.low:.3f}} to {{arms.{i}.rise.high:.3f}})"
    if low is None:
        return f"Whether {who} overfits cannot be said from {{n_seeds:d}} seed(s) (use 3 or more): {course} at the end"
    if rise["lowest"] >= numbers["null"]["val_loss"]:
        null = "{null.val_loss:.3f}"
        return f"{who[0].upper()}{who[1:]} is no better than the null predictor: {course}, against {null}"
    if rises(numbers, i):
        return f"{who[0].upper()}{who[1:]} overfits: {course} {interval}"
    j = _shown_beside(numbers)
    if j is not None:
        return (
            f"{who[0].upper()}{who[1:]} overfits: {_name(numbers['arms'][j])} takes the final validation loss "
            f"{_change(i, j)} {_interval(j)} at a higher training loss, {{arms.{j}.final.train_loss.mean:.3f}} "
            f"instead of {{arms.{i}.final.train_loss.mean:.3f}}"
        )
    if high < numbers["delta"]:
        return f"{who[0].upper()}{who[1:]} does not overfit: validation loss ends at {end} {interval}"
    return f"Whether {who} overfits is undecided: {course} {interval}"


def _shown_beside(numbers: dict[str, Any]) -> int | None:
    """The arm that alone shows the baseline to overfit, whose own curve does not rise."""
    baseline = numbers["baseline"]
    relation = numbers["arms"][baseline]["relation"]
    if relation["kind"] != "overfitting" or rises(numbers, baseline):
        return None
    against: int = relation["against"]
    return against


def _help(numbers: dict[str, Any]) -> str:
    baseline, chosen = numbers["baseline"], numbers["chosen"]["val_loss"]
    if not numbers["comparisons"]:
        return ""
    if chosen == baseline:
        return "no other arm has a lower validation loss"
    arms = numbers["arms"]
    if arms[chosen]["versus"]["val_loss"]["low"] is None:
        return f"{_name(arms[chosen])} takes it {_change(baseline, chosen)}, without an interval"
    best = _proven(numbers)
    if best is None:
        return (
            f"no arm lowers it beyond doubt: the lowest, {_name(arms[chosen])}, takes it "
            f"{_change(baseline, chosen)} {_interval(chosen)}"
        )
    return f"{_name(arms[best])} lowers the final loss {_change(baseline, best)} {_interval(best)}"


def _proven(numbers: dict[str, Any]) -> int | None:
    """The arm of lowest loss among those whose advantage stands after Holm."""
    arms = numbers["arms"]
    proven = [i for i, arm in enumerate(arms) if arm["versus"] and _lowers(arm["versus"]["val_loss"])]
    return min(proven, key=lambda i: float(arms[i]["final"]["val_loss"]["mean"])) if proven else None


def _lowers(versus: dict[str, Any]) -> bool:
    return versus["p_holm"] is not None and versus["p_holm"] < _LEVEL and versus["mean"] < 0


def _name(arm: dict[str, Any]) -> str:
    return str(arm["regularization"] or arm["arm"])


def _change(baseline: int, index: int) -> str:
    return f"from {{arms.{baseline}.final.val_loss.mean:.3f}} to {{arms.{index}.final.val_loss.mean:.3f}}"


def _interval(index: int) -> str:
    key = f"arms.{index}.versus.val_loss"
    return f"(paired difference {{{key}.low:.3f}} to {{{key}.high:.3f}}, p = {{{key}.p_holm:.2g}} after Holm)"


def details(numbers: dict[str, Any]) -> list[str]:
    """Further sentences: the gap, what accuracy says, what the test set says."""
    if numbers["baseline"] is None:
        return []
    sentences = []
    base, chosen = numbers["baseline"], numbers["chosen"]
    if chosen["val_loss"] != base:
        pick = chosen["val_loss"]
        if _proven(numbers) not in (None, pick):
            sentences.append(
                f"{_name(numbers['arms'][pick])} ends lower still, at {{arms.{pick}.final.val_loss.mean:.3f}}, but "
                f"less surely {_interval(pick)}."
            )
        sentences.append(
            f"With {_name(numbers['arms'][pick])} the gap between validation and training loss goes from "
            f"{{arms.{base}.final.gap.mean:.3f}} to {{arms.{pick}.final.gap.mean:.3f}}; a smaller gap alone is "
            f"no merit, since any crippling penalty closes it."
        )
    if "val_accuracy" in chosen:
        sentences.append(_accuracy(numbers, base, chosen["val_accuracy"]))
    test = numbers["test"]
    if test and test["difference"] and test["difference"]["test_loss"]:
        found = (
            ", without an interval."
            if test["difference"]["test_loss"]["low"] is None
            else " (paired difference {test.difference.test_loss.low:.3f} to {test.difference.test_loss.high:.3f})."
        )
        sentences.append(
            "On the test set, opened for the baseline and the arm of lowest validation loss only, the loss goes from "
            f"{{test.arms.0.test_loss.mean:.3f}} to {{test.arms.1.test_loss.mean:.3f}}{found}"
        )
    return sentences


def _accuracy(numbers: dict[str, Any], base: int, pick: int) -> str:
    agree = pick == numbers["chosen"]["val_loss"]
    start = "Accuracy chooses the same arm: " if agree else "Loss and accuracy choose different arms: "
    if pick == base:
        return f"{start}no other arm has a higher validation accuracy than the baseline."
    arm = numbers["arms"][pick]
    key = f"arms.{pick}.versus.val_accuracy"
    sentence = (
        f"{start}accuracy is highest with {_name(arm)}, {{arms.{pick}.final.val_accuracy.mean:.3f}} against "
        f"{{arms.{base}.final.val_accuracy.mean:.3f}}"
    )
    if arm["versus"]["val_accuracy"]["low"] is None:
        return f"{sentence}, without an interval."
    return f"{sentence} (paired difference {{{key}.low:.3f}} to {{{key}.high:.3f}})."
