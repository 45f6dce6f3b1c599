"""What else is worth knowing of a history, beside its verdict."""

from collections.abc import Sequence

from ridgeline.diagnosis._align import Aligned
from ridgeline.diagnosis._evidence import Words
from ridgeline.diagnosis._features import Features
from ridgeline.diagnosis._history import History
from ridgeline.diagnosis._rules import far_above
from ridgeline.diagnosis._suspicion import collapse, contradictions, penalty_inside


def remarks(
    runs: Sequence[History], found: Sequence[Aligned], f: Features, words: Words, pure: bool
) -> list[str]:
    """Suspicious columns, a collapse, what was left out, the gap, the reader's notes.

    Args:
        found: the runs aligned, before any was left out.
        pure: whether the losses are known to hold no penalty.
    """
    said = []
    if f.excess is not None:
        said.append(_excess(f.excess, words))
    if words.accuracy:
        said += _collapse(runs, words)
    elif not pure:
        said += next(([inside] for run in runs if (inside := penalty_inside(run.curves))), [])
    # the loss may be wrong where accuracy is judged by: a log of ours has both, others only one of them
    if not words.accuracy or not any("val_loss" in run.curves for run in runs):
        said += next((wrong for run in runs if (wrong := contradictions(run.curves))), [])
    dropped = sum(run.dropped for run in found)
    if dropped:
        said.append(f"{dropped:,} {'number was' if dropped == 1 else 'numbers were'} not finite and left out")
    if f.gap is not None and f.excess is None and not far_above(f):
        said.append(_gap(f.gap, words))
    return [*said, *dict.fromkeys(note for run in runs for note in run.notes)]


def _excess(share: float, words: Words) -> str:
    if words.accuracy:
        return (
            f"training accuracy begins below validation accuracy, with {share:.0%} more errors, by an amount that "
            f"falls: training seems to be measured under dropout or augmentation, so the true gap is larger than it "
            f"looks"
        )
    return (
        f"training loss begins {share:.0%} above validation loss, by an amount that falls: it seems to contain a "
        f"penalty, dropout or augmentation, so the true gap is larger than it looks"
    )


def _collapse(runs: Sequence[History], words: Words) -> list[str]:
    """Of the first run whose accuracy collapsed."""
    for run in runs:
        lost = collapse(run.curves["val_accuracy"]) if "val_accuracy" in run.curves else None
        if lost is not None:
            step, held, end = lost
            return [f"accuracy held {held:.3f} and collapsed after {words.step(step)}, ending at {end:.3f}"]
    return []


def _gap(gap: float, words: Words) -> str:
    if gap == 0:
        return f"validation and training {words.metric} end alike"
    side = "above" if (gap > 0) != words.accuracy else "below"
    return f"validation {words.metric} ends {words.amount(gap)} {side} training {words.metric}"
