"""Where the image sets lie, and what their files must be."""

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from ridgeline.errors import RidgelineError


@dataclass(frozen=True)
class ImageSet:
    """An image set of four IDX files: MD5 of each uncompressed file, and where it is published."""

    name: str
    url: str
    md5: dict[str, str]


IMAGE_SETS = {
    "mnist": ImageSet(
        "mnist",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
            "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
            "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
            "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
        },
    ),
    "fashion-mnist": ImageSet(
        "fashion-mnist",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
            "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
            "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
        },
    ),
}


def cache_dir() -> Path:
    """The user's cache folder of Ridgeline."""
    return Path(platformdirs.user_cache_dir("ridgeline", appauthor=False))


def search_dirs(data_dir: Path | None) -> list[Path]:
    """Where data are looked for: the folder given, or that of RIDGELINE_DATA; the user's cache next."""
    named = data_dir or os.environ.get("RIDGELINE_DATA")
    return ([Path(named)] if named else []) + [cache_dir()]


def find_file(name: str, file: str, data_dir: Path | None) -> Path:
    """The file of an image set, plain or .gz, in the first folder that has it.

    Raises:
        RidgelineError: naming the file, the folders searched, and how to get it.
    """
    searched = [folder / name for folder in search_dirs(data_dir)]
    for folder in searched:
        for path in (folder / file, folder / f"{file}.gz"):
            if path.is_file():
                return path
    raise RidgelineError(
        f"{file}(.gz) of {name} was not found in {' or '.join(map(str, searched))}; run "
        f"'ridgeline download {name}', or name the folder that holds {name}/ by --data-dir or RIDGELINE_DATA."
    )
