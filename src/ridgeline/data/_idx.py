"""IDX files, the format of MNIST: a header of big-endian sizes, then bytes."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ridgeline.errors import RidgelineError


def read_idx(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """The bytes of an IDX file, gzip-compressed or plain, as an array of the expected shape.

    Raises:
        RidgelineError: when the file is truncated, of another format, or of another shape.
    """
    remedy = "fetch it again (ridgeline download), or replace it by the original file."
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise RidgelineError(f"{path} cannot be read ({error}); {remedy}") from None
    header = 4 + 4 * len(shape)
    magic = bytes([0, 0, 8, len(shape)])
    if raw[:4] != magic:
        raise RidgelineError(
            f"{path} is no IDX file of {len(shape)}-d bytes: it starts with {raw[:4].hex()}, expected "
            f"{magic.hex()}; {remedy}"
        )
    if len(raw) < header:
        raise RidgelineError(f"{path} ends inside its header; {remedy}")
    sizes = struct.unpack(f">{len(shape)}I", raw[4:header])
    if sizes != shape:
        raise RidgelineError(f"{path} holds an array of {sizes}, expected {shape}; {remedy}")
    if len(raw) - header != math.prod(shape):
        raise RidgelineError(
            f"{path} is truncated or padded: {len(raw) - header:,} bytes after its header, expected "
            f"{math.prod(shape):,}; {remedy}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
