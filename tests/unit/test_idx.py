"""IDX files: what is read, what is refused and how, and in which folder a file is found."""

import gzip
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ridgeline.data import IMAGE_SETS, SOURCES, draw, find_file
from ridgeline.data._idx import read_idx
from ridgeline.errors import RidgelineError

ARRAY = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
GOOD = struct.pack(">4B3I", 0, 0, 8, 3, 4, 3, 2) + ARRAY.tobytes()
REMEDY = "fetch it again"


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_a_good_file_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(GOOD) if name.endswith(".gz") else GOOD)
    assert np.array_equal(read_idx(tmp_path / name, (4, 3, 2)), ARRAY)


@pytest.mark.parametrize(
    ("raw", "expectation"),
    [
        (GOOD[:-1], "23 bytes after its header, expected 24"),
        (GOOD + b"x", "25 bytes after its header, expected 24"),
        (GOOD[:10], "ends inside its header"),
        (GOOD[:4], "ends inside its header"),
        (b"", "expected 00000803"),
        (b"GIF89a", "starts with 47494638, expected 00000803"),
        (struct.pack(">4B2I", 0, 0, 8, 2, 4, 6) + ARRAY.tobytes(), "starts with 00000802, expected 00000803"),
        (struct.pack(">4B3I", 0, 0, 13, 3, 4, 3, 2) + ARRAY.tobytes(), "starts with 00000d03"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + ARRAY.tobytes(), r"\(2, 3, 4\), expected \(4, 3, 2\)"),
    ],
    ids=["cut", "padded", "short header", "magic only", "empty", "gif", "2-d", "floats", "shape"],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_a_wrong_file_is_named_with_the_expectation_and_the_remedy(
    tmp_path: Path, raw: bytes, expectation: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / ("digits-idx.gz" if pack is gzip.compress else "digits-idx")
    path.write_bytes(pack(raw))
    with pytest.raises(RidgelineError, match=rf"digits-idx.*{expectation}.*{REMEDY}"):
        read_idx(path, (4, 3, 2))


@pytest.mark.parametrize("cut", [1, 9, 15, -9, -1])
def test_a_cut_gzip_is_refused(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(GOOD)[:cut])
    with pytest.raises(RidgelineError, match=rf"a\.gz cannot be read.*{REMEDY}"):
        read_idx(tmp_path / "a.gz", (4, 3, 2))


def test_a_damaged_gzip_is_refused_whichever_byte_is_wrong(tmp_path: Path) -> None:
    good = gzip.compress(GOOD, mtime=0)
    for at in [0, 1, 2, *range(10, len(good))]:  # bytes 3 to 9 are flags, time and system
        (tmp_path / "a.gz").write_bytes(good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :])
        with pytest.raises(RidgelineError, match=REMEDY):
            read_idx(tmp_path / "a.gz", (4, 3, 2))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RidgelineError, match=r"none\.gz cannot be read"):
        read_idx(tmp_path / "none.gz", (1,))


def test_a_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, environment, cache = (tmp_path / n for n in ("named", "environment", "cache"))
    monkeypatch.setenv("RIDGELINE_DATA", str(environment))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda *a, **k: str(cache))
    with pytest.raises(RidgelineError, match=r"f\(\.gz\) of mnist.*environment.*cache.*download mnist.*DATA"):
        find_file("mnist", "f", None)
    for folder, suffix in ((cache, ""), (environment, ".gz"), (named, ".gz"), (named, "")):
        path = folder / "mnist" / f"f{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find_file("mnist", "f", named if folder == named else None) == path
    monkeypatch.setenv("RIDGELINE_DATA", "")
    assert find_file("mnist", "f", None) == cache / "mnist" / "f"
    assert find_file("mnist", "f", environment) == environment / "mnist" / "f.gz"


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_are_the_published_ones(data_dir: Path, name: str) -> None:
    for file, md5 in IMAGE_SETS[name].md5.items():
        path = find_file(name, file, data_dir)
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert hashlib.md5(raw, usedforsecurity=False).hexdigest() == md5


MNIST_COUNTS = {  # LeCun's page gives the sizes, these are the well-known class counts
    "pool": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_sets_have_their_shapes_and_counts(data_dir: Path, name: str) -> None:
    data = draw(SOURCES[name](data_dir=data_dir), 0)
    shapes = {key: tuple(examples.batch(torch.arange(2))[0].shape) for key, examples in data.sets.items()}
    assert shapes == dict.fromkeys(("train", "val", "test"), (2, 1, 28, 28))
    assert [len(examples) for examples in data.sets.values()] == [55_000, 5_000, 10_000]
    assert data.n_outputs == 10
    pool = torch.bincount(torch.cat([data.train.targets(), data.val.targets()])).tolist()
    assert data.test is not None
    test = torch.bincount(data.test.targets()).tolist()
    expected = MNIST_COUNTS if name == "mnist" else {"pool": [6000] * 10, "test": [1000] * 10}
    assert {"pool": pool, "test": test} == expected
    x, _ = data.val.batch(torch.arange(500))
    assert (float(x.min()), float(x.max())) == (0, 1)
