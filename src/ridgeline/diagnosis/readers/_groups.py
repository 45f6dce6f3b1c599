"""Which rows belong to which arm and which of its runs."""

import re

import polars as pl

from ridgeline.diagnosis.readers._words import words

# What names a configuration, what numbers its repetitions, and what may do either.
ARMS: tuple[str, ...] = (
    "arm",
    "config",
    "configuration",
    "condition",
    "experiment",
    "exp",
    "variant",
    "setting",
)
ARMS += ("method", "model", "group", "name")
SEEDS = (
    "seed",
    "random seed",
    "rng seed",
    "fold",
    "replicate",
    "replica",
    "rep",
    "repeat",
    "repetition",
    "version",
)
RUNS = ("run", "run id", "run name", "trial", "trial id", "trial name", "job", "job id", "experiment id")

_SEED = re.compile(
    r"^(?P<arm>.*?)[\s_\-/,;|.]*[(\[]?(?:(?:(?:seed|replicate|repeat|rep|fold|run|trial|version)[\s_\-=:#]*"
    r"|(?<=[\s_\-/,;|.(\[])[sr]=?)(?P<seed>\d+))[)\]]?$",
    re.IGNORECASE,
)


def arm_and_run(name: str) -> tuple[str, str]:
    """A run's name cut into its arm and its seed, where it ends in one.

    Example:
        >>> arm_and_run("l2=0.1_seed3"), arm_and_run("baseline"), arm_and_run("run-2")
        (('l2=0.1', '3'), ('baseline', ''), ('', '2'))
    """
    found = _SEED.match(name)
    return (name, "") if found is None else (found["arm"], found["seed"])


def group_columns(frame: pl.DataFrame) -> dict[str, list[str]]:
    """The columns that say whose a row is, by what they name: "arm", "seed", "run"."""
    found: dict[str, list[str]] = {"arm": [], "seed": [], "run": []}
    for column in frame.columns:
        said = " ".join(words(column[:60]))
        for key, known in (("arm", ARMS), ("seed", SEEDS), ("run", RUNS)):
            if said in known and frame[column].null_count() < len(frame):
                found[key].append(column)
    return found


def with_groups(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the texts "·arm" and "·run" added, "" where nothing names them.

    Arms and seeds have their columns, or a run's name is cut into them. Runs that are only numbered are runs of
    one arm; trials without a name are arms, for their configurations may differ.
    """
    found = group_columns(frame)
    arms = _joined(frame, found["arm"])
    seeds = _joined(frame, found["seed"])
    runs = _joined(frame, found["run"][:1])
    if not found["arm"] and found["run"]:
        keys = runs.unique(maintain_order=True).to_list()
        numbered = all(re.fullmatch(r"\d{1,6}", key) for key in keys) and words(found["run"][0])[0] == "run"
        if found["seed"] and pl.DataFrame([runs, seeds]).unique().height == seeds.n_unique() == len(keys):
            arms = _constant(frame, "")  # each seed is one run
        elif numbered:
            arms, seeds = _constant(frame, ""), runs if not found["seed"] else seeds
        else:
            cut = {key: arm_and_run(key) for key in keys}
            arms = runs.replace_strict({key: arm for key, (arm, _) in cut.items()}, return_dtype=pl.String)
            if not found["seed"]:
                seeds = runs.replace_strict(
                    {key: seed for key, (_, seed) in cut.items()}, return_dtype=pl.String
                )
    elif not found["seed"]:
        seeds = runs
    return frame.with_columns(arms.alias("·arm"), seeds.alias("·run"))


def _joined(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    if not columns:
        return _constant(frame, "")
    parts = [_text(frame[column]) for column in columns]
    return pl.DataFrame(parts).select(pl.concat_str(pl.all(), separator=", ")).to_series()


def _constant(frame: pl.DataFrame, text: str) -> pl.Series:
    return pl.Series("·", [text], dtype=pl.String).new_from_index(0, len(frame))


def _text(column: pl.Series) -> pl.Series:
    """As text; whole numbers without a point."""
    if column.dtype.is_float() and bool((column.drop_nulls() % 1 == 0).all()):
        column = column.cast(pl.Int64, strict=False)
    return column.cast(pl.String, strict=False).fill_null("")
