"""Windows over a video, whose frames are read in stretches, each asked for once however windows overlap."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Shaped
from torch import Tensor

from i3d_lightning.video.decoding import STRETCH

T = TypeVar("T")


@dataclass(frozen=True)
class Windows:
    """The windows of a video: from frame 0, every `step` frames, as long as they lie within it.

    Attributes:
        clip: Frames of a window.
        step: Frames from one window to the next.
        length: Frames of the video.
        loops: Whether a video shorter than a window is looped to one.
    """

    clip: int
    step: int
    length: int
    loops: bool

    def __len__(self) -> int:
        if self.length < self.clip:
            return int(self.loops)
        return (self.length - self.clip) // self.step + 1

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Part the frames that are seen into stretches: the first frame and the number of each."""
        seen = min(self.clip, self.length)
        if self.step <= self.clip:
            spans = [(0, (len(self) - 1) * self.step + seen)] if len(self) else []
        else:
            spans = [(number * self.step, number * self.step + seen) for number in range(len(self))]
        for first, end in spans:
            for start in range(first, end, STRETCH):
                yield start, min(STRETCH, end - start)


class Sliding:
    """Cuts windows out of stretches as they come, and keeps what the next ones will see.

    Args:
        windows: Which.
        at_once: Windows given together, at most.
    """

    def __init__(self, windows: Windows, at_once: int) -> None:
        self.windows, self.at_once = windows, at_once
        self.given = 0
        self._first = self._end = 0
        self._kept: Tensor | None = None

    def add(self, start: int, frames: Shaped[Tensor, "c t h w"]) -> Iterator[Shaped[Tensor, "n c clip h w"]]:
        """Give the windows that a stretch completes.

        Args:
            start: Its first frame.
            frames: The stretch.
        """
        if self._kept is not None and start == self._end:
            frames, start = torch.cat([self._kept, frames], dim=1), self._first
        self._end = start + frames.shape[1]
        seen = min(self.windows.clip, self.windows.length)
        looped = torch.arange(self.windows.clip) % seen
        ready: list[Tensor] = []
        while self.given < len(self.windows) and self.given * self.windows.step + seen <= self._end:
            place = self.given * self.windows.step - start
            ready.append(
                frames[:, place : place + seen] if seen == len(looped) else frames[:, place + looped]
            )
            self.given += 1
            if len(ready) == self.at_once:
                yield torch.stack(ready)
                ready = []
        if ready:
            yield torch.stack(ready)
        self._first = max(start, min(self.given * self.windows.step, self._end))
        self._kept = frames[:, self._first - start :].clone()


def ahead(items: Generator[T, None, None], many: int = 1) -> Generator[T, None, None]:
    """Have another thread make items while the last ones are used; what it meets is raised here.

    Args:
        items: Made in a thread, in this one's context.
        many: How many may be waiting.
    """
    waiting: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(many)
    over = threading.Event()

    def put(what: tuple[bool, T | BaseException | None]) -> bool:
        while not over.is_set():
            try:
                waiting.put(what, timeout=0.2)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            with closing(items):  # here, where it was begun
                for item in items:
                    if not put((True, item)):
                        return
        except BaseException as error:
            put((False, error))
        else:
            put((False, None))

    thread = threading.Thread(
        target=contextvars.copy_context().run, args=(work,), name="reading ahead", daemon=True
    )
    thread.start()
    try:
        while True:
            more, item = waiting.get()
            if not more:
                if item is not None:
                    raise item  # type: ignore[misc]
                return
            yield item  # type: ignore[misc]
    finally:
        over.set()
