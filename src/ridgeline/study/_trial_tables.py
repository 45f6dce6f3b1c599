"""What a trial leaves behind, as the tables of its part."""

import polars as pl

from ridgeline.data import Data
from ridgeline.lanes import Outcome
from ridgeline.study._baseline import null_scores
from ridgeline.study._trials import Trial


def tables_of(trial: Trial, outcome: Outcome, data: Data, digests: dict[str, str]) -> dict[str, pl.DataFrame]:
    """The tables of a trial's part.

    Args:
        digests: content hashes of the sets, by name.
    """
    row: dict[str, object] = {
        "trial_id": trial.trial_id,
        "status": outcome.status,
        "steps": outcome.steps,
        "best_step": outcome.best_step,
        "seconds": outcome.seconds,
        "precision": trial.config.train.precision,
        "task": data.task,
    }
    for when, found in (("final", outcome.last), ("best", outcome.best)):
        for name in ("train", "val"):
            row[f"{when}_{name}_loss"] = found[name].loss if found else None
            row[f"{when}_{name}_accuracy"] = found[name].accuracy if found else None
    row |= null_scores(data, trial.config.train.loss)
    row |= {f"n_{name}": len(examples) for name, examples in data.sets.items()}
    row |= {f"{name}_hash": digest for name, digest in digests.items()}
    curves = pl.DataFrame(outcome.curves, schema_overrides={"step": pl.Int64})
    audit = (
        pl.DataFrame(outcome.audit)
        if outcome.audit
        else pl.DataFrame({"name": []}, schema={"name": pl.String})
    )
    return {
        "trials": pl.DataFrame([row]),
        "curves": _named(curves, trial),
        "predictions": _named(_predictions(outcome, data), trial),
        "audit": _named(audit, trial),
    }


def _named(frame: pl.DataFrame, trial: Trial) -> pl.DataFrame:
    return frame.select(pl.lit(trial.trial_id).alias("trial_id"), pl.all())


def _predictions(outcome: Outcome, data: Data) -> pl.DataFrame:
    """One row an example of val and test, at the last and the best step."""
    frames = [
        pl.DataFrame(
            {
                "set": [name] * len(evaluation.losses),
                "when": [when] * len(evaluation.losses),
                "example": data.sets[name].ids.numpy(),
                "label": None if evaluation.correct is None else data.sets[name].targets().cpu().numpy(),
                "loss": evaluation.losses.numpy(),
                "correct": None if evaluation.correct is None else evaluation.correct.numpy(),
            },
            schema=_PREDICTIONS,
        )
        for when, found in (("last", outcome.last), ("best", outcome.best))
        for name, evaluation in found.items()
        if name != "train"
    ]
    return pl.concat(frames) if frames else pl.DataFrame(schema=_PREDICTIONS)


_PREDICTIONS = {
    "set": pl.String,
    "when": pl.String,
    "example": pl.Int32,
    "label": pl.Int32,
    "loss": pl.Float32,
    "correct": pl.Boolean,
}
