"""What a reader must know before believing the numbers."""

from typing import Any


def notes(numbers: dict[str, Any], spec: dict[str, Any]) -> list[str]:
    """What a reader must know before believing the numbers."""
    found = [
        "{n_arms:d} configurations were tried, {n_seeds:d} seeds each. Ranking uses the validation set; the best "
        "of many is flattered by having been chosen.",
        "An interval is mean ± t · SE with SE² = s²(seeds)/S + s²(examples)/n: it carries training noise and the "
        "sampling of the evaluated examples. Differences are paired by seed and by example.",
        "Losses are data losses in evaluation mode; the penalty has its own column.",
    ]
    noise = spec.get("data", {}).get("label_noise")
    if noise:
        found.insert(
            0,
            f"{noise:.0%} of the training labels were exchanged for wrong ones on purpose; validation and test "
            f"labels are as published.",
        )
    if not numbers["n_test"]:
        found.append("There is no test set: nothing here was judged on data that took no part in choosing.")
    if numbers["n_unfinished"]:
        found.append("{n_unfinished:d} trials are not finished; run the same command to go on.")
    if _too_coarse(numbers):
        found.append(
            "The validation set of {n_val:d} examples cannot resolve the difference between the baseline and the "
            "lowest arm: its sampling alone is larger. Bring more validation data."
        )
    return found


def _too_coarse(numbers: dict[str, Any]) -> bool:
    if numbers["chosen"] is None or numbers["chosen"]["val_loss"] == numbers["baseline"]:
        return False
    versus = numbers["arms"][numbers["chosen"]["val_loss"]]["versus"]["val_loss"]
    return bool(versus and 1.96 * versus["se_examples"] > abs(versus["mean"]))
