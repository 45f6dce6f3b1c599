"""Early stopping: patience with evaluations that bring no improvement."""

import math

from ridgeline.lanes._settings import EarlyStopping


class Patience:
    """Early stopping: counts evaluations without improvement of one column."""

    def __init__(self, settings: EarlyStopping) -> None:
        self.settings = settings
        self.sign = -1.0 if settings.monitor.endswith("accuracy") else 1.0
        self.lowest, self.waited = math.inf, 0

    def stop(self, value: float | None) -> bool:
        """Whether to stop at this value of the column that is monitored."""
        assert value is not None
        if self.sign * value < self.lowest - self.settings.min_delta:
            self.lowest, self.waited = self.sign * value, 0
        else:
            self.waited += 1
        return self.waited >= self.settings.patience
