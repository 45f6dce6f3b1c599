"""Data: named sets, a person's own tables and datasets, splits drawn by seed, content hashes."""

from ridgeline.data._download import download as download
from ridgeline.data._examples import Examples as Examples
from ridgeline.data._examples import Task as Task
from ridgeline.data._folder import IMAGE_SETS as IMAGE_SETS
from ridgeline.data._folder import find_file as find_file
from ridgeline.data._sources import SOURCES as SOURCES
from ridgeline.data._splits import Data as Data
from ridgeline.data._splits import Source as Source
from ridgeline.data._splits import Splits as Splits
from ridgeline.data._splits import draw as draw
from ridgeline.data._table import table as table
