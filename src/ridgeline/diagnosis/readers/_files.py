"""A path to tables: what kind of file it is, by its name and its first bytes."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ridgeline.diagnosis._history import Role
from ridgeline.diagnosis.readers._csv import Header, find_header, read_csv, utf8
from ridgeline.diagnosis.readers._decode import decode, encoding
from ridgeline.diagnosis.readers._folder import files_in, no_log, read_parquet
from ridgeline.diagnosis.readers._json import read_json, read_json_lines
from ridgeline.diagnosis.readers._log import read_log
from ridgeline.diagnosis.readers._table import Table, empty
from ridgeline.diagnosis.readers._tensorboard import MARK, read_events
from ridgeline.errors import RidgelineError, nearest, reason

Format: TypeAlias = Literal["csv", "json", "jsonl", "log", "parquet", "tensorboard"]
FORMATS: tuple[Format, ...] = get_args(Format)

_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}
_HEAD = 65536
# Not a dict as Python prints it, with single quotes: that is a printed log.
_OBJECT = re.compile(r'\{\s*(?:"|\}).*\}$')


def tables_of(path: Path, given: Mapping[Role, str], format: str | None) -> list[Table]:  # noqa: A002
    """The tables of a file or a folder.

    Raises:
        RidgelineError: for what is missing, may not be read, or is no log.
    """
    if format is not None and format not in FORMATS:
        raise RidgelineError(f"format: {format!r} is none; {nearest(format, FORMATS)}.")
    try:
        if not path.exists():
            raise RidgelineError(f"{path} does not exist; check the path.")
        if path.is_dir():
            return _of_folder(path, given, format)
        if not path.is_file():
            raise RidgelineError(f"{path} is no regular file; write the log to one.")
        return _of_file(path, given, format)
    except OSError as error:
        raise RidgelineError(f"{path} cannot be read ({reason(error)}); check its permissions.") from None


def _of_folder(path: Path, given: Mapping[Role, str], format: str | None) -> list[Table]:  # noqa: A002
    files = files_in(path) if format != "tensorboard" else []
    if not files:
        if not any(path.rglob(f"*{MARK}*")):
            raise no_log(path)
        return read_events(path)
    found = []
    for file in files:
        run = file.parent.name if len(files) > 1 else ""
        found += [replace(t, run=t.run or run) for t in _of_file(file, given, format)]
    return found


def _of_file(path: Path, given: Mapping[Role, str], format: str | None) -> list[Table]:  # noqa: A002
    with path.open("rb") as handle:
        head = handle.read(_HEAD)
    if format == "parquet" or (format is None and head.startswith(b"PAR1")):
        return [read_parquet(path)]
    if format == "tensorboard" or (format is None and MARK in path.name):
        return read_events(path)
    if not head.strip(b"\0 \t\r\n\xef\xbb\xbf\xff\xfe"):
        raise empty(str(path))
    name, mark = encoding(head, str(path))
    start = decode(head, str(path))
    kind = format or _kind(path, start, given)
    if kind == "csv" and (name, mark) == ("utf-8", 0) and _is_plain(head):
        return [read_csv(path, start, str(path), given)]
    text = decode(path.read_bytes(), str(path))
    if kind == "csv":
        return [read_csv(utf8(text), utf8(start).decode(), str(path), given)]
    if kind == "json":
        return read_json(text, str(path))
    if kind == "jsonl":
        return read_json_lines(text, str(path))
    return [read_log(text, str(path), given)]


def _is_plain(head: bytes) -> bool:
    """Whether polars may read the file by itself: UTF-8, but for a character that the end of the head cuts."""
    if b"\0" in head or b"\r" in head.replace(b"\r\n", b""):
        return False
    try:
        head[:-4].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 8
    return True


def _kind(path: Path, start: str, given: Mapping[Role, str]) -> Format:
    """By the suffix where the content agrees, else by the content."""
    named = _SUFFIXES.get(path.suffix.lower())
    first = start.lstrip()[:1]
    if named in ("json", "jsonl"):
        return "jsonl" if first == "{" and _json_kind(start) == "jsonl" else named
    header = find_header(utf8(start).decode(), given)
    if named == "csv" and header is not None:
        return "csv"
    if first == "{" and _json_kind(start) == "jsonl":
        return "jsonl"
    if first == "{" and start.lstrip()[1:].lstrip()[:1] in ('"', "}"):
        return "json"
    if first == "[" and start.lstrip()[1:].lstrip()[:1] in ("{", "]"):
        return "json"
    if header is not None and (len(header.names) > 1 or _numbers_follow(start, header)):
        return "csv"
    return "csv" if named == "csv" and not _has_metrics(start, given) else "log"


def _json_kind(start: str) -> Format:
    """One object a line, or one over many."""
    lines = [line.strip() for line in start.lstrip().splitlines()]
    whole = [line for line in lines[:-1] or lines if line]
    return "jsonl" if len(lines) > 1 and all(_OBJECT.match(line) for line in whole[:20]) else "json"


def _numbers_follow(start: str, header: Header) -> bool:
    """Whether the line below a header of one name is one number."""
    below = start.splitlines()[header.line + 1 : header.line + 2]
    try:
        return bool(below) and float(below[0]) is not None
    except ValueError:
        return False


def _has_metrics(start: str, given: Mapping[Role, str]) -> bool:
    try:
        read_log(start, "", given)
    except RidgelineError:
        return False
    return True
