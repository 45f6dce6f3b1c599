"""Strength schedules: functions of the optimizer's steps, for use as a penalty's strength."""

from ridgeline.penalties._schedule import Schedule as Schedule
from ridgeline.penalties._schedule import cosine as cosine
from ridgeline.penalties._schedule import linear as linear
from ridgeline.penalties._schedule import warmup as warmup
