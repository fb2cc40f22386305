"""When each frame of a video file is displayed, told by its packets.

Frame `i` of the timeline at `fps` is the source frame on display `i / fps` seconds after the first
one, and the timeline ends where the source does, rounded to a whole frame. At its own frame rate
a video is therefore read frame by frame; at a lower one frames are left out, at a higher one
repeated, and none is ever blended.

Packets tell their times without being decoded and, unlike the headers, are there only if their
frames are: a file that breaks off is as long as what is left of it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from i3d_lightning.errors import UnreadableVideoError

_REORDERING = 16
"""Most frames by which decoding and display order differ: H.264's largest picture buffer (Annex A.3.1)."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        frames: Frames stored in the file.
        fps: Its own frame rate, in frames per second.
        height: Height in pixels.
        width: Width in pixels.
    """

    frames: int
    fps: float
    height: int
    width: int


@dataclass(frozen=True)
class Timeline:
    """When the frames of a file are displayed, in ticks of its clock.

    Attributes:
        info: What the file holds.
        tick: Duration of a tick, in seconds.
        first: When the first frame appears.
        end: When the last frame disappears.
        slack: How far the clock may be off because it counts whole ticks.
        keyframes: Time and packet number of each frame that decoding can start at, by time.
        reordering: Frames within which decoded frames may bear each other's times.
        stamped: Whether packets have times; else frame k is displayed at tick k.
        broken_off: Whether the file is shorter than its header promises.
        promised: What its header promises, in seconds.
    """

    info: VideoInfo
    tick: Fraction
    first: int
    end: int
    slack: Fraction
    keyframes: tuple[tuple[int, int], ...]
    reordering: int
    stamped: bool
    broken_off: bool
    promised: Fraction

    def length(self, fps: float) -> int:
        """Count the frames at a frame rate."""
        return max(1, round((self.end - self.first) * self.tick * _exact(fps)))

    def moment(self, frame: int, fps: float) -> int:
        """Give the latest time at which the source frame that is frame `frame` at `fps` may appear."""
        return self.first + int(frame / _exact(fps) / self.tick + self.slack)

    def packet_before(self, moment: int) -> int:
        """Find the packet from which the frame on display at a moment can be decoded."""
        margin = self.reordering * (self.end - self.first) // self.info.frames
        known = bisect_right(self.keyframes, moment - margin, key=lambda keyframe: keyframe[0])
        return self.keyframes[known - 1][1] if known else 0


def _exact(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and its like


def read_timeline(path: Path) -> Timeline:
    """Read the packets of a video file, without decoding them.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    if not path.is_file():
        raise UnreadableVideoError(f"{path} is not a file: check the path of the video.")
    status = path.stat()
    if status.st_size == 0:
        raise UnreadableVideoError(f"{path} is empty: download the video again or leave it out.")
    return _read_timeline(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # a length is usually asked for just before a clip is read
def _read_timeline(path: Path, size: int, modified: int) -> Timeline:
    with open_video(path) as (container, stream):
        packets = [(packet.pts, packet.is_keyframe) for packet in read_packets(container, stream)]
        context = stream.codec_context
        if not packets or not context.width or not context.height:
            raise UnreadableVideoError(f"{path} holds no frame: download the video again or leave it out.")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        tick = stream.time_base or 1 / rate
        stamped = all(time is not None for time, _ in packets)
        if not stamped:
            tick = 1 / rate
            packets = [(number, number == 0) for number in range(len(packets))]
        times = [time for time, _ in packets]
        first, last = min(times), max(times)
        frame = max(1, round((last - first) / max(1, len(times) - 1)))
        end = last + frame
        promised = max(
            stream.frames / rate,
            (stream.duration or 0) * (stream.time_base or 0),
            Fraction(container.duration or 0, av.time_base) if len(container.streams) == 1 else 0,
        )
        return Timeline(
            info=VideoInfo(len(packets), float(rate), context.height, context.width),
            tick=tick,
            first=first,
            end=end,
            # where milliseconds are counted, the second frame at 30 fps is said to appear after 33 of them
            slack=Fraction(1, 2) if frame > 1 else Fraction(0),
            keyframes=tuple(
                sorted((time, n) for n, (time, is_keyframe) in enumerate(packets) if is_keyframe)
            ),
            # AVI has no display times: where there are B-frames, frames bear those of decoding order
            reordering=_REORDERING if container.format.name == "avi" and context.has_b_frames else 0,
            stamped=stamped,
            broken_off=(end - first) * tick < promised * Fraction(9, 10),
            promised=Fraction(promised),
        )


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open the video stream of a file.

    Raises:
        UnreadableVideoError: The file is not a video.
    """
    try:
        container = av.open(f"file:{path}")  # else what a name has before a colon is taken for a protocol
    except (av.FFmpegError, OSError) as error:
        raise UnreadableVideoError(
            f"{path} cannot be read as a video ({reason(error)}): is it complete?"
        ) from error
    with container:
        still = container.format.name == "image2" or container.format.name.endswith("_pipe")
        if still or not container.streams.video:
            raise UnreadableVideoError(f"{path} holds no video: give a file with moving pictures.")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # data-loading processes already share the cores
        yield container, stream


def read_packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """Yield a stream's packets in the file's order, up to where it breaks off."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size and not packet.is_corrupt:
            yield packet


def reason(error: Exception) -> str:
    """Say what FFmpeg or the system says is wrong."""
    return getattr(error, "strerror", None) or str(error)
