"""The progress bar of a run: trials done, steps a second, time left; silent when not on a terminal."""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Bar:
    """Told by the run, drawn by rich. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[done]}/{task.fields[trials]} trials"),
            BarColumn(),
            TextColumn("{task.fields[rate]:,.0f} steps/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: TaskID | None = None
        self._done, self._made, self._began = 0, 0, 0.0

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, trials: int, done: int, steps_a_trial: int) -> None:
        """The run begins with `done` of its trials already stored."""
        self._done, self._began = done, time.monotonic()
        self._task = self._progress.add_task(
            "", total=(trials - done) * steps_a_trial, done=done, trials=trials, rate=0.0
        )

    def steps(self, count: int) -> None:
        """So many more updates were made."""
        if self._task is not None:
            self._made += count
            rate = self._made / max(time.monotonic() - self._began, 1e-9)
            self._progress.update(self._task, advance=count, rate=rate)

    def trial_done(self) -> None:
        """One more trial is stored."""
        if self._task is not None:
            self._done += 1
            self._progress.update(self._task, done=self._done)

    def say(self, sentence: str) -> None:
        """A sentence above the bar."""
        self._progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)
