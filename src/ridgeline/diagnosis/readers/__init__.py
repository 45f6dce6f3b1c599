"""Readers: histories from dicts, frames, files and logs, whatever wrote them."""

from ridgeline.diagnosis.readers._files import FORMATS as FORMATS
from ridgeline.diagnosis.readers._files import Format as Format
from ridgeline.diagnosis.readers._read import read as read
