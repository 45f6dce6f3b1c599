"""The report: reads what a run stored, judges nothing that is not stored, shows it."""

from ridgeline.report._answer import answer as answer
from ridgeline.report._results import Results as Results
from ridgeline.report._terminal import terminal_table as terminal_table
