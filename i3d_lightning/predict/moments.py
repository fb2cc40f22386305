"""When in a video its classes are asked for, and the clips that answer, of frames that are read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite

import torch
from torch import Tensor

from i3d_lightning.datasets.clips import Frames, Seen
from i3d_lightning.errors import InputError
from i3d_lightning.video.budgets import HOURS
from i3d_lightning.video.decoding import STRETCH
from i3d_lightning.video.file import VideoFile


@dataclass(frozen=True, eq=False)
class Moment:
    """What happens in a short part of a video.

    Attributes:
        start: Where it begins, in seconds from the video's first frame.
        end: Where it ends, in seconds.
        probabilities: Of each class (k), float32.
        labels: The classes.
    """

    start: float
    end: float
    probabilities: Tensor
    labels: Sequence[str]

    def best(self, top: int = 5) -> list[tuple[str, float]]:
        """Give the `top` most probable classes and their probabilities, best first."""
        return best(self.probabilities, self.labels, top)


def best(probabilities: Tensor, labels: Sequence[str], top: int) -> list[tuple[str, float]]:
    """Give the `top` most probable classes and their probabilities, best first."""
    found = probabilities.topk(min(top, len(probabilities)))
    return [(labels[i], p) for p, i in zip(found.values.tolist(), found.indices.tolist(), strict=True)]


@dataclass(frozen=True)
class Stretch:
    """Neighbouring moments whose most probable class is the same.

    Attributes:
        start: Where it begins, in seconds from the video's first frame.
        end: Where it ends, in seconds.
        label: The class.
        probability: Its mean over this time.
    """

    start: float
    end: float
    label: str
    probability: float


def stretches(moments: Iterable[Moment]) -> list[Stretch]:
    """Join neighbouring moments with the same most probable class."""
    found: list[Stretch] = []
    for moment in moments:
        ((label, p),) = moment.best(1)
        start = moment.start
        if found and found[-1].label == label:
            before = found.pop()
            start, share = before.start, (moment.end - moment.start) / (moment.end - before.start)
            p = (1 - share) * before.probability + share * p
        found.append(Stretch(start, moment.end, label, p))
    return found


def check_every(every: float, fps: float) -> None:
    """Refuse a distance between moments that is none.

    Raises:
        InputError: It is shorter than a frame, or longer than any video.
    """
    if not (isfinite(every) and every >= 1 / fps * (1 - 1e-9)):
        raise InputError(
            f"every is {every:g} s, but frames follow each other every {1 / fps:g} s ({fps:g} a second): "
            "choose that or more, such as 0.5."
        )
    if every > HOURS * 3600:
        raise InputError(f"every is {every:g} s, but no video lasts longer than {HOURS} hours: choose less.")


def parts(seconds: float, every: float) -> list[tuple[float, float]]:
    """Part a video into moments of `every` seconds, the last of which may be shorter."""
    count = max(1, ceil(round(seconds / every, 6)))
    return [(number * every, min((number + 1) * every, seconds)) for number in range(count)]


def clip_start(start: float, end: float, fps: float, frames: int, length: int) -> int:
    """Find the first frame of the clip around a moment.

    Their middles are the same, to the nearest frame; where the clip would begin before the video or end after
    it, it is moved inside. Of a video that is shorter than a clip it is the first frame.
    """
    centred = floor(round((start + end) / 2 * fps - frames / 2 + 0.5, 6))
    return max(0, min(centred, length - frames))


@dataclass
class Part:
    """A part of what is to be seen of a video, addressed as if it were all of it.

    Attributes:
        whole: What there is of the video.
        is_flow: Whether that is flow.
        start: First frame.
        frames: Number of frames.
        period: Frames after which a video that is shorter starts again.
    """

    whole: Frames
    is_flow: bool
    start: int
    frames: int
    period: int

    def length(self, video: VideoFile) -> int:
        return self.frames

    def read(self, video: VideoFile, start: int, frames: int, period: int | None = None) -> Seen:
        return self.whole.read(video, self.start + start, frames, self.period)


Read = Callable[[int, int], Sequence[Tensor]]
"""Reads from a frame on so many, as batches of one `1 c t h w`, one for each thing the network sees."""


def clips_at(starts: Sequence[int], frames: int, read: Read) -> Iterator[tuple[int, list[Tensor]]]:
    """Yield a clip from each of the rising starts, with that start, keeping no more than a stretch of frames.

    Each frame that lies in a clip is read once, whether or not clips overlap.
    """
    number = 0
    for first, end in _spans(starts, frames):
        kept: list[Tensor] = []  # the frames from `begin` to `seen`
        begin = seen = first
        while seen < end:
            count = min(max(STRETCH, frames), end - seen)  # a video that is looped is read at once
            new = read(seen, count)
            kept = [torch.cat(both, dim=2) for both in zip(kept, new, strict=True)] if kept else list(new)
            seen += count
            while number < len(starts) and starts[number] + frames <= seen:
                place = starts[number] - begin
                yield starts[number], [clip[:, :, place : place + frames] for clip in kept]
                number += 1
            if number < len(starts):
                passed = min(starts[number], seen) - begin
                kept = [clip[:, :, passed:].clone() for clip in kept]
                begin += passed


def _spans(starts: Sequence[int], frames: int) -> list[tuple[int, int]]:
    """Join the clips that overlap or touch: first frame and end of each."""
    spans: list[tuple[int, int]] = []
    for start in starts:
        first = spans.pop()[0] if spans and start <= spans[-1][1] else start
        spans.append((first, start + frames))
    return spans
