"""The store: what happened, in Parquet with provenance inside; the only meeting point of runs and reports."""

from ridgeline.store._folder import locked as locked
from ridgeline.store._folder import read_json as read_json
from ridgeline.store._folder import write_json as write_json
from ridgeline.store._parts import finished_parts as finished_parts
from ridgeline.store._parts import write_part as write_part
from ridgeline.store._provenance import processor as processor
from ridgeline.store._provenance import provenance as provenance
from ridgeline.store._sealed import DamagedError as DamagedError
from ridgeline.store._sealed import read_sealed as read_sealed
from ridgeline.store._sealed import write_sealed as write_sealed
from ridgeline.store._tables import consolidate as consolidate
from ridgeline.store._tables import done_trials as done_trials
from ridgeline.store._tables import read_table as read_table
from ridgeline.store._tables import write_atomically as write_atomically
