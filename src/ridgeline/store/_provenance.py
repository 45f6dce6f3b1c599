"""Provenance: what made these numbers, written inside the files."""

import platform
import sys
from importlib import metadata
from pathlib import Path

import torch


def provenance(device: torch.device, threads: int, flush_denormal: bool) -> dict[str, str]:
    """Versions, hardware and numeric settings of this process, as text."""
    return {
        "ridgeline": metadata.version("ridgeline"),
        "torch": torch.__version__,
        "numpy": metadata.version("numpy"),
        "polars": metadata.version("polars"),
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": str(threads),
        "flush_denormal": str(flush_denormal),
    }


def processor() -> str:
    """What the machine calls its processor."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
