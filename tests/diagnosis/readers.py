"""What the tests of the readers share: a file from its text, and curves as plain lists."""

from pathlib import Path

from ridgeline.diagnosis import History, Role, read

Points = list[tuple[float, float]]


def file(folder: Path, name: str, content: str | bytes) -> Path:
    """A file with this content, line ends as they are."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def one(source: object, columns: dict[Role, str] | None = None) -> History:
    """The only history of a source."""
    found = read(source, columns=columns)
    assert len(found) == 1, [(h.arm, h.run) for h in found]
    return found[0]


def points(history: History, role: Role) -> Points:
    """A curve as (step, value)."""
    curve = history.curves[role]
    return list(zip(curve.steps.tolist(), curve.values.tolist(), strict=True))
