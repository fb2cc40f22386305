"""When each frame of a video file is displayed, told by its packets.

Frame `i` of the timeline at `fps` is the source frame on display `i / fps` seconds after the first
one, and the timeline ends where the source does, rounded to a whole frame. At its own frame rate
a video is therefore read frame by frame; at a lower one frames are left out, at a higher one
repeated, and none is ever blended.

Packets tell their times without being decoded and, unlike the headers, are there only if their
frames are: a file that breaks off is as long as what is left of it.

The timeline of a segment begins where the segment does.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import budgets
from i3d_lightning.video.container import is_sound, open_video, packets_of
from i3d_lightning.video.file import Segment

_REORDERING = 16
"""Most frames by which decoding and display order differ: H.264's largest picture buffer (Annex A.3.1)."""
_TIMED = {"matroska,webm", "flv", "asf"}
"""Formats whose headers say how long they last; of others FFmpeg may only have guessed it."""
_UNSURE = 0.25
"""Seconds by which such a header may differ from what there is, as the end of sound and pictures does; a
segment may go as far beyond the end."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a file are displayed, in ticks of its clock.

    Attributes:
        frames: Frames that are there, of a segment those within.
        promised: Frames that its header says there are; at least as many.
        rate: Its own frame rate, in frames per second.
        width: Width of stored frames in pixels.
        height: Height of stored frames in pixels.
        tick: Duration of a tick, in seconds.
        first: When the first frame appears.
        end: When the last frame disappears.
        slack: How far the clock may be off because it counts whole ticks.
        times: When each frame appears, rising.
        keyframes: Time and packet number of each frame that decoding can start at, by time.
        reordering: Frames within which decoded frames may bear each other's times.
        stamped: Whether packets have times; else frame k is displayed at tick k.
        can_be_turned: Whether its format can say that frames are to be turned before they are shown.
        start: Where the segment begins, in seconds after the first frame appears.
        stop: Where the segment ends; None is where the last frame disappears.
    """

    frames: int
    promised: int
    rate: Fraction
    width: int
    height: int
    tick: Fraction
    first: int
    end: int
    slack: Fraction
    times: tuple[int, ...]
    keyframes: tuple[tuple[int, int], ...]
    reordering: int
    stamped: bool
    can_be_turned: bool
    start: Fraction = Fraction(0)
    stop: Fraction | None = None

    @property
    def seconds(self) -> Fraction:
        """How long it lasts."""
        stop = (self.end - self.first) * self.tick if self.stop is None else self.stop
        return stop - self.start

    @property
    def broken_off(self) -> bool:
        """Whether a good part of what the header promises is not there."""
        return 10 * self.frames < 9 * self.promised

    def length(self, fps: float) -> int:
        """Count the frames at a frame rate."""
        return max(1, round(self.seconds * _exact(fps)))

    def moment(self, frame: int, fps: float) -> int:
        """Give the latest time at which the source frame that is frame `frame` at `fps` may appear."""
        return self.first + int((self.start + frame / _exact(fps)) / self.tick + self.slack)

    def packet_before(self, moment: int) -> int:
        """Find the packet from which the frame on display at a moment can be decoded."""
        margin = self.reordering * (self.end - self.first) // len(self.times)
        known = bisect_right(self.keyframes, moment - margin, key=lambda keyframe: keyframe[0])
        return self.keyframes[known - 1][1] if known else 0


@lru_cache(maxsize=64)  # asked for twice a clip
def displayed(timeline: Timeline, fps: float) -> list[int]:
    """Number the source frames that are on display at a frame rate."""
    moments = (timeline.moment(frame, fps) for frame in range(timeline.length(fps)))
    return [max(0, bisect_right(timeline.times, moment) - 1) for moment in moments]


@lru_cache
def _exact(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and its like


def read_timeline(path: Path, segment: Segment | None = None) -> Timeline:
    """Read the packets of a video file, without decoding them.

    Args:
        path: The file.
        segment: The part of it that is of interest.

    Raises:
        UnreadableVideoError: The file is not a video, its size or length is beyond all bounds, or the segment
            ends after it.
    """
    status = path.stat()
    timeline = _read_timeline(path, status.st_size, status.st_mtime_ns)
    return timeline if segment is None else _cut(path, timeline, segment)


def _cut(path: Path, timeline: Timeline, segment: Segment) -> Timeline:
    """Take a segment, of which the frames on display are there, whatever the file lacks elsewhere."""
    check_segment(path, segment, float(timeline.seconds))
    start, stop = (Fraction(str(time)) for time in segment)  # as written: the nearest float may lie before
    cut = replace(timeline, start=start, stop=min(stop, timeline.seconds))
    begin = max(0, bisect_right(cut.times, cut.moment(0, 1)) - 1)
    frames = max(1, bisect_left(cut.times, cut.first + (start + cut.seconds) / cut.tick) - begin)
    return replace(cut, frames=frames, promised=frames)


def check_segment(path: Path, segment: Segment, seconds: float) -> None:
    """Make sure that a segment lies within a video of some length.

    Raises:
        UnreadableVideoError: It ends later.
    """
    if segment.start >= seconds or segment.end > seconds + _UNSURE:
        raise UnreadableVideoError(
            f"{path} ends after {seconds:.6g} s, but its segment from {segment.start:g} to {segment.end:g} s "
            "is asked for: mend the list, or the video if it breaks off."
        )


@lru_cache(maxsize=64)  # a length is usually asked for just before a clip is read
def _read_timeline(path: Path, size: int, modified: int) -> Timeline:
    with open_video(path) as (container, stream):
        context = stream.codec_context
        packets: list[tuple[int | None, bool]] = []
        slots, last_end = 0, Fraction(0)
        timed = container.format.name in _TIMED
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        for packet in packets_of(container, *([] if timed else [stream])):
            if timed and packet.pts is not None and packet.time_base:
                last_end = max(last_end, (packet.pts + (packet.duration or 0)) * packet.time_base)
            if packet.stream_index == stream.index:
                slots += 1
                if is_sound(packet):
                    packets.append((packet.pts, packet.is_keyframe))
        if not packets:
            raise UnreadableVideoError(f"{path} holds no frame: download the video again or leave it out.")
        budgets.check_size(path, context.width, context.height)
        tick = stream.time_base or 1 / rate
        stamped = all(time is not None for time, _ in packets)
        if not stamped:
            tick = 1 / rate
            packets = [(number, number == 0) for number in range(len(packets))]
        keyframes = [(time, n) for n, (time, is_keyframe) in enumerate(packets) if is_keyframe]
        if any(after <= before and n > m + 1 for (before, m), (after, n) in pairwise(keyframes)):  # type: ignore[operator]
            raise UnreadableVideoError(
                f"The clock of {path} starts again in mid-stream, as if videos had been strung together: cut "
                f"it there or leave it out."
            )
        times = sorted(time for time, _ in packets if time is not None)
        first, last = times[0], times[-1]
        frame = max(1, round((last - first) / max(1, len(times) - 1)))
        end = last + frame
        still = max((after - before for before, after in pairwise(times)), default=0)
        budgets.check_times(path, float((end - first) * tick), float(still * tick))
        if timed:
            missing = _missing_at_the_end(container, last_end, rate)
        else:
            missing = max(0, _entries(container, stream) - slots)
        return Timeline(
            frames=len(packets),
            promised=max(len(packets), slots + missing),
            rate=rate,
            width=context.width,
            height=context.height,
            tick=tick,
            first=first,
            end=end,
            # where milliseconds are counted, the second frame at 30 fps is said to appear after 33 of them
            slack=Fraction(1, 2) if frame > 1 else Fraction(0),
            times=tuple(times),
            keyframes=tuple(sorted(keyframes)),  # type: ignore[type-var, arg-type]
            # AVI has no display times: where there are B-frames, frames bear those of decoding order
            reordering=_REORDERING if container.format.name == "avi" and context.has_b_frames else 0,
            stamped=stamped,
            can_be_turned=container.format.name.startswith(("mov", "matroska")),
        )


def _entries(container: InputContainer, stream: VideoStream) -> int:
    """Count the frames that a header lists; of MP4 those that remain after edits, which cut frames off."""
    return len(stream.index_entries) if container.format.name.startswith("mov") else stream.frames


def _missing_at_the_end(container: InputContainer, last_end: Fraction, rate: Fraction) -> int:
    """Count the frames that would fill the time from the end of all streams to that which a header says."""
    start = min(Fraction(0), Fraction(container.start_time or 0, av.time_base))
    seconds = Fraction(container.duration or 0, av.time_base) - (last_end - start)
    return round(seconds * rate) if seconds > _UNSURE and seconds * rate > 1 else 0
