"""Fetching an image set: the only place that uses the network, on explicit request, by checksum."""

import contextlib
import gzip
import hashlib
import http.client
import os
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path

from ridgeline.data._folder import IMAGE_SETS, cache_dir
from ridgeline.errors import RidgelineError, nearest


def download(
    name: str,
    data_dir: Path | None = None,
    url: str | None = None,
    on_file: Callable[[str, str], None] = lambda file, state: None,
) -> Path:
    """Fetch the four files of an image set into data_dir/name, or into the user's cache.

    A file that is there with the right checksum is left alone; each new one is checked before it takes
    its name, so that an interrupted download leaves nothing half written.

    Args:
        url: a mirror: the folder under which the .gz files lie.
        on_file: called with each file's name and "kept" or "fetched".

    Raises:
        RidgelineError: for an unknown set, an unreachable server, or a checksum that differs.
    """
    if name not in IMAGE_SETS:
        raise RidgelineError(f"{name!r} is no downloadable data set; {nearest(name, IMAGE_SETS)}")
    image_set = IMAGE_SETS[name]
    base = (url or image_set.url).rstrip("/")
    folder = (data_dir or cache_dir()) / name
    for file, md5 in image_set.md5.items():
        path = folder / f"{file}.gz"
        if path.is_file() and _md5(path.read_bytes()) == md5:
            on_file(file, "kept")
            continue
        body = _fetch(f"{base}/{file}.gz")
        found = _md5(body)
        if found != md5:
            raise RidgelineError(
                f"{base}/{file}.gz is not the original file: MD5 {found or 'unreadable'}, expected {md5}; "
                f"nothing was written; try another mirror (--url)."
            )
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            partial.write_bytes(body)
            partial.replace(path)
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
        on_file(file, "fetched")
    return folder


def _fetch(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):
        raise RidgelineError(f"{url} is no http(s) address; give the mirror's folder by --url.")
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            body: bytes = response.read()
            return body
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RidgelineError(
            f"{url} cannot be fetched ({error}); check the connection, or name a mirror by --url."
        ) from None


def _md5(compressed: bytes) -> str:
    """The MD5 of the uncompressed bytes; empty when they cannot be uncompressed."""
    try:
        return hashlib.md5(gzip.decompress(compressed), usedforsecurity=False).hexdigest()
    except (OSError, EOFError, zlib.error):
        return ""
