"""What S2's runs stored, read for its claims and figures: checks, tails, accuracies, sparsity."""

from functools import lru_cache
from pathlib import Path

import polars as pl
from safetensors.torch import load_file
from torch import Tensor

from ridgeline.data import SOURCES
from ridgeline.errors import RidgelineError
from ridgeline.recipes._evidence import Floats, by_seed, curve, examples, last_weights
from ridgeline.report import Results

RATES, STRENGTHS = (1e-4, 5e-3, 5e-2, 5e-5), (5e-4, 0.0)
NONE, L2 = "none", "l2"  # the arms of part B
PUBLISHED = {NONE: 0.88, L2: 0.92}  # test accuracy
TAIL = 50  # checks
ENOUGH = 5  # seeds, below which nothing is decided


def arm(lr: float, strength: float) -> str:
    """The label of an arm of part A."""
    return f"lr {lr:g}, λ = {strength:g}"


def checks_of(results: Results, label: str, *columns: str) -> dict[int, pl.DataFrame]:
    """The recorded checks of each seed, diverged ones too; the start is none of them, as in the source."""
    frame = curve(results, label, *columns).filter(pl.col("step") > 0)
    return {int(part["seed"][0]): part for part in frame.partition_by("seed", maintain_order=True)}


def seeds_of(results: Results, label: str) -> int:
    """How many seeds of an arm have ended, diverged ones too."""
    return results.trials.filter(pl.col("arm") == label).height


def diverged(results: Results, label: str) -> int:
    """How many seeds of an arm diverged."""
    return results.trials.filter((pl.col("arm") == label) & (pl.col("status") == "diverged")).height


def tails(results: Results, label: str, column: str = "val_accuracy") -> dict[int, float]:
    """The mean of a column over the last 50 checks by seed; diverged seeds are left out."""
    done = by_seed(results, label, pl.col("seed"))
    return {
        seed: float(part[column].tail(TAIL).mean())  # type: ignore[arg-type]  # a number
        for seed, part in checks_of(results, label, column).items()
        if seed in done
    }


def tested(results: Results, label: str) -> list[float]:
    """The accuracy on the test set after the last update, by seed."""
    frame = examples(results, label, "test", "correct").group_by("seed").agg(pl.col("value").mean())
    return frame.sort("seed")["value"].to_list()


def sampled(results: Results, label: str, baseline: str | None = None) -> Floats:
    """Each validation image's correctness after the last update, mean over seeds; minus the baseline's.

    What the sampling of the images adds to an interval: single checks are not stored by image.
    """
    ours = examples(results, label, "val", "correct")
    if baseline is not None:
        theirs = examples(results, baseline, "val", "correct")
        ours = ours.join(theirs, on=["seed", "example"], suffix="_b").with_columns(
            value=pl.col("value") - pl.col("value_b")
        )
    return ours.group_by("example").agg(pl.col("value").mean()).sort("example")["value"].to_numpy()


MATRICES = ("W1", "W2", "W3", "W4")
BLANK = "W1, blank pixels"


@lru_cache(maxsize=1)
def blank_pixels(data_dir: Path | None) -> Tensor | None:
    """Which of the 784 pixels are 0 in every training image; None where the images are not to be had."""
    try:
        train = SOURCES["mnist"](data_dir)(0).train
    except RidgelineError:
        return None
    found: Tensor = train.x.flatten(1).amax(0) == 0
    return found


def sparsity(path: Path, blank: Tensor | None) -> dict[str, dict[str, float]]:
    """Of each matrix, the share of exact zeros and the share below 1e-3 of its largest entry.

    Args:
        path: the stored weights of one trial.
        blank: where given, W1 is taken apart: its columns of these pixels, and the others.
    """
    matrices = {name.rpartition(".")[0]: w for name, w in load_file(path).items() if w.ndim == 2}
    parts = dict(zip(MATRICES, (matrices[key].abs() for key in sorted(matrices)), strict=True))
    largest = {name: float(w.max()) for name, w in parts.items()}
    if blank is not None:
        parts |= {"W1": parts["W1"][:, ~blank], BLANK: parts["W1"][:, blank]}
    return {
        name: {
            "zero": float((w == 0).double().mean()),
            "small": float((w < 1e-3 * largest[name[:2]]).double().mean()),
        }
        for name, w in parts.items()
    }


def sparsities(results: Results, label: str, blank: Tensor | None) -> dict[int, dict[str, dict[str, float]]]:
    """`sparsity` of the weights after the last update by seed, where they are still kept."""
    files = last_weights(results, label)
    return {seed: sparsity(path, blank) for seed, path in files.items() if path.is_file()}
