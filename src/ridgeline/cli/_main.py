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
        code = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = 130
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
    except Exception as error:
        # typer's own usage errors, whose class it has moved between versions
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
            sys.exit(0)
        _end(f"{error.format_message().rstrip('.')}; see ridgeline --help.", 2)
    if code == 130:  # Ctrl-C, which typer passes over without a word
        _end("interrupted: finished trials are kept; the same command goes on.", 130)
    sys.exit(code if isinstance(code, int) else 0)


def _end(sentence: str, code: int) -> None:
    # What others' libraries say may have several lines.
    print(f"ridgeline: {' '.join(sentence.splitlines())}", file=sys.stderr)
    sys.exit(code)
