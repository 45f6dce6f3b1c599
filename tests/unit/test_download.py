"""Fetching an image set, against a real server on this machine."""

import gzip
import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ridgeline.data import IMAGE_SETS, download
from ridgeline.data._folder import ImageSet
from ridgeline.errors import RidgelineError

FILES = {f"part-{i}": f"content {i}".encode() * 50 for i in range(4)}


@dataclass
class Mirror:
    """A server's address, what it serves, and what it was asked for."""

    url: str = ""
    body: dict[str, bytes] = field(default_factory=dict)
    claim_more: bool = False  # a Content-Length beyond the body: an interrupted transfer
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    served = Mirror(body={f"/tiny/{name}.gz": gzip.compress(raw) for name, raw in FILES.items()})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            if (body := served.body.get(self.path)) is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 100 * served.claim_more))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    md5 = {name: hashlib.md5(raw, usedforsecurity=False).hexdigest() for name, raw in FILES.items()}
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}/tiny/"
        monkeypatch.setitem(IMAGE_SETS, "tiny", ImageSet("tiny", served.url, md5))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_it_fetches_what_is_missing_and_keeps_what_is_right(mirror: Mirror, tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    assert download("tiny", tmp_path, on_file=lambda *news: told.append(news)) == tmp_path / "tiny"
    assert told == [(name, "fetched") for name in FILES]
    assert files(tmp_path) == ["tiny", *(f"tiny/{name}.gz" for name in FILES)]
    assert {n: gzip.decompress((tmp_path / "tiny" / f"{n}.gz").read_bytes()) for n in FILES} == FILES
    (tmp_path / "tiny" / "part-2.gz").write_bytes(b"damaged")
    mirror.asked.clear()
    told.clear()
    download("tiny", tmp_path, on_file=lambda *news: told.append(news))
    assert told == [(name, "fetched" if name == "part-2" else "kept") for name in FILES]
    assert mirror.asked == ["/tiny/part-2.gz"]


def test_without_a_folder_it_fills_the_cache(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(tmp_path / "cache"))
    assert download("tiny", url=mirror.url.rstrip("/")) == tmp_path / "cache" / "tiny"
    assert len(mirror.asked) == 4


@pytest.mark.parametrize(
    "body",
    [gzip.compress(b"another file", mtime=0), b"<html>not found</html>", b""],
    ids=["another", "page", "empty"],
)
def test_another_content_is_refused_and_not_written(mirror: Mirror, tmp_path: Path, body: bytes) -> None:
    mirror.body["/tiny/part-0.gz"] = body
    with pytest.raises(RidgelineError, match=r"part-0\.gz is not the original file: MD5 .*--url"):
        download("tiny", tmp_path)
    assert files(tmp_path) == []


def test_a_file_already_there_survives_a_wrong_mirror(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "part-0.gz").write_bytes(b"mine")
    mirror.body["/tiny/part-0.gz"] = gzip.compress(b"another file")
    with pytest.raises(RidgelineError, match="not the original"):
        download("tiny", tmp_path)
    assert (tmp_path / "tiny" / "part-0.gz").read_bytes() == b"mine"


def test_an_interrupted_transfer_leaves_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.claim_more = True
    with pytest.raises(RidgelineError, match=r"part-0\.gz cannot be fetched .*--url"):
        download("tiny", tmp_path)
    assert files(tmp_path) == []


def test_an_interrupted_write_leaves_nothing(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download("tiny", tmp_path)
    assert files(tmp_path) == ["tiny"]


def test_a_missing_file_and_an_unreachable_server_are_answered(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(
        RidgelineError, match=r"cannot be fetched \(HTTP Error 404.*check the connection.*--url"
    ):
        download("tiny", tmp_path, url=mirror.url + "elsewhere")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    with pytest.raises(RidgelineError, match=rf"127\.0\.0\.1:{port}.* cannot be fetched"):
        download("tiny", tmp_path, url=f"http://127.0.0.1:{port}/")
    assert files(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc", "ftp://host/x", "host/x", "http://[bad", "http://a b/"])
def test_what_is_no_web_address_is_refused(mirror: Mirror, tmp_path: Path, url: str) -> None:
    with pytest.raises(RidgelineError, match="--url"):
        download("tiny", tmp_path, url=url)
    assert files(tmp_path) == []


def test_an_unknown_set_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match=r"'minst' is no downloadable data set; did you mean 'mnist"):
        download("minst", tmp_path)
