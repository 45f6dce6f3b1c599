"""The entry point: errors a person can mend become one sentence and exit code 2."""

import errno
import sys

import typer

from ridgeline.errors import RidgelineError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Regularizes PyTorch models, proves whether it worked, and finds the strength that fits.",
)

_DISK = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "choose an --out on a writable disk",
    errno.EACCES: "choose an --out that you may write to",
    errno.EPERM: "choose an --out that you may write to",
}


def main() -> None:
    """Run the command line."""
    try:
        app(standalone_mode=True)
    except RidgelineError as error:
        _end(str(error), 2)
    except OSError as error:
        remedy = _DISK.get(error.errno or 0, "check the path")
        where = error.filename or "the run folder"
        _end(
            f"{where} cannot be written or read ({error.strerror or error}); {remedy}. What was done is kept; "
            f"the same command goes on.",
            2,
        )
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C, without a word
            _end("interrupted: finished trials are kept; the same command goes on.", 130)
        raise


def _end(sentence: str, code: int) -> None:
    # What others' libraries say may have several lines.
    print(f"ridgeline: {' '.join(sentence.splitlines())}", file=sys.stderr)
    sys.exit(code)
