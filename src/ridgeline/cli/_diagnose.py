"""Command diagnose: is it overfitting, underfitting, over-regularized? From anyone's log, or a run of ours."""

import contextlib
import json
import math
import sys
from collections.abc import Sequence
from typing import Annotated, Any, get_args

import typer

import ridgeline
from ridgeline.cli._judged import Judged, Options, Study, judge
from ridgeline.cli._main import app
from ridgeline.cli._shown import show
from ridgeline.diagnosis import Role, finite
from ridgeline.errors import RidgelineError, nearest


@app.command()
def diagnose(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Logs, run folders, or - for standard input."),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", help="role=name, e.g. val_loss='dev nll', where names are unusual."),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option("--format", help="What wrote the log, where that is not seen.")
    ] = None,
    null_loss: Annotated[
        float | None, typer.Option(help="The loss of a predictor that knows nothing.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(help="How many classes there are; gives the null loss.")
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="The training skill wanted, 1 − loss/null loss, in (0, 1].")
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="The least difference in loss that counts; 2 % of what there is to learn."),
    ] = None,
    no_resample: Annotated[bool, typer.Option("--no-resample", help="Leave the confidence out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as one JSON document.")] = False,
) -> None:
    """Say of each arm whether it overfits, underfits or is over-regularized, why, and what to do."""
    for flag, value in (("--null-loss", null_loss), ("--delta", delta)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise RidgelineError(f"{flag} is {value}; give a number above 0, or leave it out.")
    if classes is not None and classes < 2:
        raise RidgelineError(f"--classes is {classes}; give 2 or more, or leave it out.")
    if target is not None and not 0 < target <= 1:
        raise RidgelineError(f"--target is {target}; it is a training skill, 1 − loss/null loss, in (0, 1].")
    options = Options(_roles(columns or []), log_format, null_loss, classes, target, delta)
    with contextlib.redirect_stdout(sys.stderr):  # what others' libraries print is none of the answer
        judged, studies, resamples = judge(files, options, not no_resample)
    if as_json:
        document = _document(judged, studies)
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        typer.echo(text if _can_say(text) else json.dumps(document, indent=1, allow_nan=False))
        return
    show(judged, studies, left_out=not no_resample and resamples == 0, plain=not _can_say("±δ–−→│▀▄⠒"))


def _can_say(text: str) -> bool:
    """Whether standard output takes these characters."""
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _roles(columns: Sequence[str]) -> dict[Role, str]:
    """`--columns role=name` as a dict."""
    known = {str(role): role for role in get_args(Role)}
    found: dict[Role, str] = {}
    for given in columns:
        role, equals, name = given.partition("=")
        if not equals or not name:
            raise RidgelineError(
                f"--columns {given!r} is no role=name; write e.g. --columns val_loss=dev_nll."
            )
        if role not in known:
            raise RidgelineError(f"--columns names the role {role!r}; {nearest(role, known)}")
        if known[role] in found:
            raise RidgelineError(f"--columns names the role {role!r} twice; name it once.")
        found[known[role]] = name
    return found


def _document(judged: Sequence[Judged], studies: Sequence[Study]) -> dict[str, Any]:
    """Everything as JSON takes it."""
    return {
        "ridgeline": ridgeline.__version__,
        "arms": [
            {
                "arm": one.arm,
                "source": list(one.source),
                "runs": [run.run for run in one.histories],
                "unit": one.histories[0].unit if one.histories else None,
                "columns": {
                    role: curve.column for run in one.histories[:1] for role, curve in run.curves.items()
                },
                "notes": list(dict.fromkeys(note for run in one.histories for note in run.notes)),
                "verdict": one.verdict.as_dict(),
                **({} if one.beside is None else finite(dict(one.beside))),
            }
            for one in judged
        ],
        "studies": [{"source": s.source, "delta": s.delta, "answer": list(s.answer)} for s in studies],
    }
