"""Figures of the report, one file a figure."""

from ridgeline.report.figures._curves import loss_figure as loss_figure
from ridgeline.report.figures._curves import penalty_figure as penalty_figure
from ridgeline.report.figures._response import response_figure as response_figure
from ridgeline.report.figures._style import as_png as as_png
from ridgeline.report.figures._style import as_svg as as_svg
