"""What the arms say of each other, in sentences: templates over the report's numbers."""

from typing import Any

from ridgeline.diagnosis.between import EFFECTS, EffectKind

# One arm, several arms.
_VERBS: dict[EffectKind, tuple[str, str]] = {
    "helps": ("helps", "help"),
    "acts": (
        "acts on training, without a proven change in validation",
        "act on training, without a proven change in validation",
    ),
    "hurts": ("hurts", "hurt"),
    "saturated": (
        "is saturated: ten times the strength changes nothing more",
        "are saturated: ten times the strength changes nothing more",
    ),
    "negligible": ("is negligible", "are negligible"),
    "undecided": ("is undecided", "are undecided"),
}
_NAMED = 6  # more arms of a kind than that are counted


def paragraph(numbers: dict[str, Any]) -> list[str]:
    """The study judged as a whole; no sentence where nothing can be compared."""
    if numbers["baseline"] is None or numbers["delta"] is None:
        return []
    return [*_beside_others(numbers), *_regularizers(numbers), *_over_regularized(numbers)]


def rises(numbers: dict[str, Any], place: int) -> bool:
    """Whether an arm's validation loss ends above its minimum by δ, beyond noise."""
    rise = numbers["arms"][place]["rise"]
    return rise["low"] is not None and rise["low"] > 0 and bool(rise["mean"] >= numbers["delta"])


def _beside_others(numbers: dict[str, Any]) -> list[str]:
    """The baseline beside its earlier self, and beside the stronger and earlier-stopped arms."""
    i = numbers["baseline"]
    arm, relation = numbers["arms"][i], numbers["arms"][i]["relation"]
    found = []
    if rises(numbers, i):
        found.append(
            f"Stopped early, at the step that the other seeds choose, the baseline would end "
            f"{{arms.{i}.rise.mean:.3f}} lower."
        )
    j = relation["against"]
    change = f"training loss {{arms.{j}.final.train_loss.mean:.3f}} instead of {{arms.{i}.final.train_loss.mean:.3f}}"
    if relation["kind"] == "overfitting" and rises(numbers, i):
        found.append(
            f"{name(numbers, j)} generalizes better although it fits the training data less ({change}), so this is "
            f"overfitting and no matter of optimization."
        )
    elif relation["kind"] == "optimization":
        found.append(
            f"{name(numbers, j)} fits the training data better as well ({change}): that is better optimization, not "
            f"less overfitting."
        )
    elif relation["kind"] == "better":
        found.append(
            f"{name(numbers, j)} fits the training data alike ({change}), so whether it cures overfitting or "
            f"optimizes better stays open."
        )
    elif (
        relation["kind"] == "none"
        and not rises(numbers, i)
        and arm["final"]["gap"]["mean"] >= numbers["large_gap"]
    ):
        who = "the one stronger or earlier-stopped arm is not"
        if relation["tested"] > 1:
            who = f"none of {{arms.{i}.relation.tested:d}} stronger or earlier-stopped arms is"
        found.append(
            f"Its gap between validation and training loss, {{arms.{i}.final.gap.mean:.3f}}, is large, yet nothing "
            f"tried improves it: {who} shown to lower validation loss by {{delta:.3f}}."
        )
    return found


def _regularizers(numbers: dict[str, Any]) -> list[str]:
    arms = numbers["arms"]
    parts = []
    for kind in EFFECTS:
        places = [i for i, arm in enumerate(arms) if arm["effect"] and arm["effect"]["kind"] == kind]
        if places:
            parts.append(f"{names(numbers, places)} {_VERBS[kind][len(places) > 1]}")
    if not parts:
        return []
    return [f"A difference counts from δ = {{delta:.3f}}, 2 % of what there is to learn: {'; '.join(parts)}."]


def _over_regularized(numbers: dict[str, Any]) -> list[str]:
    places = [i for i, arm in enumerate(numbers["arms"]) if arm["weaker"]]
    if not places:
        return []
    weaker = sorted({numbers["arms"][i]["weaker"]["against"] for i in places})
    verb = "is" if len(places) == 1 else "are"
    beside = "is" if len(weaker) == 1 else "are"
    return [
        f"{names(numbers, places)} {verb} over-regularized: {names(numbers, weaker)} {beside} better on validation and "
        f"training data both."
    ]


def name(numbers: dict[str, Any], place: int) -> str:
    """An arm by its penalty where that names it, else by its label, in quotes where it would break a list."""
    arms = numbers["arms"]
    described = arms[place]["regularization"]
    alone = described and sum(arm["regularization"] == described for arm in arms) == 1
    found = str(described if alone else arms[place]["arm"])
    return f"“{found}”" if "," in found else found


def names(numbers: dict[str, Any], places: list[int]) -> str:
    """Arms in a list; of many, the first few and how many more."""
    found = [name(numbers, i) for i in places]
    if len(found) > _NAMED:
        found = [*found[: _NAMED - 1], f"{len(found) - _NAMED + 1} more"]
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"
