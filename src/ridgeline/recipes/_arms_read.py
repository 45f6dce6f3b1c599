"""Which arms of a run a claim looks at, noted while it is judged."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_READ: ContextVar[set[str] | None] = ContextVar("arms read", default=None)


@contextmanager
def arms_read() -> Iterator[set[str]]:
    """Within, the arms that are read are added to the set."""
    found: set[str] = set()
    token = _READ.set(found)
    try:
        yield found
    finally:
        _READ.reset(token)


def note(arm: str) -> None:
    """This arm is read."""
    read = _READ.get()
    if read is not None:
        read.add(arm)
