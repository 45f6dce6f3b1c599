"""The one error a person can mend, and the hints that such errors carry."""

import difflib
from collections.abc import Iterable


class RidgelineError(ValueError):
    """Bad input: the message says what, what was got, what is allowed, and the remedy.

    The command line prints it as one sentence and ends with exit code 2.
    """


def reason(error: BaseException) -> str:
    """What another's exception says, in one line.

    Example:
        >>> reason(KeyError("width"))
        "KeyError: 'width'"
    """
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint that names the closest candidates, or lists them all when none is close.

    Example:
        >>> nearest("optimiser", ["optimizer", "lr"])
        "did you mean 'optimizer'?"
        >>> nearest("x", ["lr", "steps"])
        "allowed: 'lr', 'steps'"
    """
    known = list(candidates)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    if not known:
        return "nothing is allowed here"
    return "allowed: " + ", ".join(repr(c) for c in known)
