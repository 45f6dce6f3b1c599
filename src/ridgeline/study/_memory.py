"""Memory that runs out: how it is told from other failures, and what to do before less of it is asked for."""

import contextlib
import ctypes
import gc
import sys

import torch

# What torch and its libraries raise as a RuntimeError, each in words of its own.
_SAID = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "ALLOC_FAILED",
    "could not allocate",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out.

    Example:
        >>> out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"))
        True
        >>> out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
        False
    """
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _SAID)


def give_back(device: torch.device) -> None:
    """Give what is no longer held back to the system."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
