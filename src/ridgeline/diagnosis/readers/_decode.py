"""Bytes to text: byte order marks, UTF-16, latin-1, mixtures; what is no text is named."""

import codecs

from ridgeline.errors import RidgelineError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY = (
    (b"PK\x03\x04", "a zip archive, as .npz, .xlsx and checkpoints are"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%PDF", "a PDF"),
)
# Of a text few bytes are control characters; a log may hold some, of colours and progress bars.
_MOST_CONTROL = 0.05
_CONTROL = bytes(set(range(32)) - {0, 8, 9, 10, 12, 13, 27})


def encoding(head: bytes, source: str) -> tuple[str, int]:
    """The encoding that the first bytes of a file show, and how many of them are its mark.

    Raises:
        RidgelineError: for what is no text.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    for magic, what in _BINARY:
        if head.startswith(magic):
            raise RidgelineError(
                f"{source}, line 1: looked for text, found {what}; save the curves as CSV or JSON."
            )
    even, odd = head[0:400:2].count(0), head[1:400:2].count(0)
    half = max(1, len(head[:400]) // 2)
    if max(even, odd) > 0.7 * half and min(even, odd) < 0.3 * half:
        return ("utf-16-be" if even > odd else "utf-16-le"), 0
    control = len(head) - len(head.translate(None, _CONTROL))
    if control > _MOST_CONTROL * len(head) or head.count(0) > 0.3 * len(head):
        raise RidgelineError(
            f"{source}, line 1: looked for text, found binary data; save the curves as CSV or JSON."
        )
    return "utf-8", 0


def decode(content: bytes, source: str) -> str:
    """The text of a file; lines that are no UTF-8 are read as latin-1, NUL bytes are left out.

    Example:
        >>> decode("é".encode() + b"\\n\\xe9", "run.log")
        'é\\né'
    """
    name, mark = encoding(content[:65536], source)
    body = content[mark:]
    if name != "utf-8":
        return body.decode(name, errors="replace").replace("\0", "")
    if b"\0" in body:
        body = body.replace(b"\0", b"")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return "\n".join(_line(line) for line in body.split(b"\n"))


def _line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")
