"""Lanes beside what people run today: the same work by ridgeline and by baselines, timed side by side."""
