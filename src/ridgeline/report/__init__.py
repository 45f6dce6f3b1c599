"""The report: reads what a run stored, judges nothing that is not stored, shows it."""

from ridgeline.report._results import Results as Results
from ridgeline.report._results import terminal_table as terminal_table
