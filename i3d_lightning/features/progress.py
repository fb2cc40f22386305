"""How far an extraction is: a bar on a terminal, and elsewhere a line now and then."""

from __future__ import annotations

import logging
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

log = logging.getLogger(__name__)

EVERY = 15.0
"""Seconds between two lines of the log, at least."""


class Meter:
    """Says how many videos are done, how fast windows are computed, and how long the rest will take.

    Args:
        videos: How many there are.
        shown: Whether to say it at all.
    """

    def __init__(self, videos: int, shown: bool) -> None:
        self.videos, self.done, self.computed, self.windows = videos, 0, 0, 0
        self.began = self.said = time.monotonic()
        console = Console(stderr=True)
        self._lines = shown and not console.is_terminal
        self._bar = Progress(
            TextColumn("features"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("videos, {task.fields[rest]}"),
            console=console,
            disable=not shown or not console.is_terminal,
        )
        self._task = self._bar.add_task("features", total=videos, rest="")

    def __enter__(self) -> Meter:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def add(self, *, windows: int = 0, videos: int = 0, computed: bool = False) -> None:
        """Count windows that were computed and videos that are done; of these the others were there."""
        self.windows += windows
        self.done += videos
        self.computed += videos if computed else 0
        self._bar.update(self._task, completed=self.done, rest=self.rest())
        if self._lines and time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            log.info("Features: %d of %d videos, %s.", self.done, self.videos, self.rest())

    def rest(self) -> str:
        """Say the rate and the time left, as far as they are known."""
        seconds = max(1e-9, time.monotonic() - self.began)
        rate = f"{self.windows / seconds:.1f} windows/s"
        if not self.computed:
            return rate
        left = int(seconds / self.computed * (self.videos - self.done))
        return f"{rate}, {left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
