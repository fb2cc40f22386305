"""Video files as tensors, frame-exact, on a timeline of constant frame rate.

Frame `i` of the timeline at `fps` is the source frame on display `i / fps` seconds after the first
one, and the timeline ends where the source does, rounded to a whole frame. At its own frame rate
a video is therefore read frame by frame; at a lower one frames are left out, at a higher one
repeated, and none is ever blended.

What is displayed when is read from the packets of a file, which takes no decoding and, unlike the
headers, is true of files that break off. A clip is decoded from the last keyframe before it.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import chain, islice, repeat
from pathlib import Path

import av
import numpy as np
import torch
from av.container import InputContainer
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.plan import InputError

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


def probe(path: Path) -> VideoInfo:
    """Describes a video without decoding it.

    Raises:
        InputError: The file is missing, empty or not a video.
    """
    return _index(path).info


def length(path: Path, *, fps: float) -> int:
    """Frames of a video's timeline at `fps` frames per second, known without decoding it.

    Raises:
        InputError: The file is missing, empty or not a video.
    """
    return _index(path).length(fps)


def read_clip(path: Path, start: int, frames: int, *, fps: float, short_side: int) -> UInt8[Tensor, "c t h w"]:
    """Reads consecutive frames of a video's timeline, looped where the video is shorter.

    Frames are resized in one step with their conversion to RGB, by swscale's bilinear filter, which
    averages when it shrinks; a frame whose shorter side fits already keeps its size.

    Args:
        path: A video file of any format that FFmpeg reads.
        start: First frame on the timeline.
        frames: Number of frames.
        fps: Frame rate of the timeline, in frames per second.
        short_side: Length of the frames' shorter side, in pixels.

    Raises:
        InputError: The file is missing, empty, not a video, or damaged with too little left to read.
    """
    index = _index(path)
    length = index.length(fps)
    if index.broken_off and length < frames:
        raise InputError(
            f"{path} breaks off after {length} of {frames} frames: download it again or leave it out."
        )
    wanted = (start + np.arange(frames)) % length
    moments, position = np.unique(wanted, return_inverse=True)
    images = _decode(path, index, [index.moment(int(i), fps) for i in moments], short_side)
    return torch.from_numpy(images).permute(3, 0, 1, 2)[:, torch.from_numpy(position)]


def read_video(
    path: Path, *, fps: float, short_side: int, most: int, least: int = 1
) -> UInt8[Tensor, "c t h w"]:
    """Reads a whole video, or `most` frames from its middle; one shorter than `least` frames is looped.

    Raises:
        InputError: As `read_clip`.
    """
    total = length(path, fps=fps)
    frames = min(total, most)
    return read_clip(path, (total - frames) // 2, max(frames, least), fps=fps, short_side=short_side)


@dataclass(frozen=True)
class _Index:
    """What a file's packets say about when its frames are displayed; times are in its clock's ticks."""

    info: VideoInfo
    tick: Fraction
    first: int
    end: int
    slack: Fraction
    keyframes: tuple[tuple[int, int], ...]
    """Time and packet number of every frame where decoding can start, in order of time."""
    reordering: int
    """Frames within which a decoded frame's time may be mislabelled."""
    stamped: bool
    broken_off: bool

    def length(self, fps: float) -> int:
        return max(1, round((self.end - self.first) * self.tick * _exact(fps)))

    def moment(self, frame: int, fps: float) -> int:
        """The latest time at which a source frame may begin to be on display as this timeline frame."""
        return self.first + int(frame / _exact(fps) / self.tick + self.slack)

    def packet_before(self, moment: int) -> int:
        """The packet from which the frame on display at a moment can be decoded."""
        margin = self.reordering * (self.end - self.first) // self.info.frames
        known = bisect_right(self.keyframes, moment - margin, key=lambda keyframe: keyframe[0])
        return self.keyframes[known - 1][1] if known else 0


def _exact(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)  # 30000/1001 and its like


def _index(path: Path) -> _Index:
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is not a file: check the path of the video.")
    status = path.stat()
    if status.st_size == 0:
        raise InputError(f"{path} is empty: download the video again or leave it out.")
    return _read_index(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)  # a length is usually asked for just before a clip is read
def _read_index(path: Path, size: int, modified: int) -> _Index:
    with _open(path) as (container, stream):
        packets = list(_packets(container, stream))
        times = [packet.pts if packet.pts is not None else packet.dts for packet in packets]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        tick, context = stream.time_base, stream.codec_context
        stamped = tick is not None and None not in times
        if not packets or not context.width or not context.height:
            raise InputError(f"{path} holds no frame: download the video again or leave it out.")
        if not stamped:  # a raw stream: frame k is displayed at k / rate
            times, tick = list(range(len(times))), 1 / rate
        order = np.sort(np.array(times))
        gap = max(1, round((order[-1] - order[0]) / max(1, len(order) - 1)))
        first, end = int(order[0]), int(order[-1]) + gap
        promised = max(
            stream.frames / rate,
            (stream.duration or 0) * (stream.time_base or 0),
            Fraction(container.duration or 0, av.time_base) if len(container.streams) == 1 else 0,
        )
        return _Index(
            info=VideoInfo(len(packets), float(rate), context.height, context.width),
            tick=tick,
            first=first,
            end=end,
            # a clock finer than the frame rate rounds: 1/30 s is 33 ms in a container that counts those
            slack=Fraction(1, 2) if gap > 1 else Fraction(0),
            keyframes=tuple(
                sorted((time, n) for n, (time, packet) in enumerate(zip(times, packets)) if packet.is_keyframe)
            )
            if stamped
            else (),
            # AVI stores no display times: those of files with B-frames are in decoding order
            reordering=_REORDERING if container.format.name == "avi" and context.has_b_frames else 0,
            stamped=stamped,
            broken_off=(end - first) * tick < promised * Fraction(9, 10),
        )


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    try:
        container = av.open(f"file:{path}")  # the prefix keeps a colon in a name from being read as a protocol
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path} cannot be read as a video ({_reason(error)}): is it complete?") from error
    with container:
        still = container.format.name == "image2" or container.format.name.endswith("_pipe")
        if still or not container.streams.video:
            raise InputError(f"{path} holds no video: give a file with moving pictures.")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # data-loading processes already share the cores
        yield container, stream


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet]:
    """A stream's packets in the file's order, up to where it breaks off."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):
            return
        if packet.size and not packet.is_corrupt:
            yield packet


def _decode(path: Path, index: _Index, moments: list[int], short_side: int) -> UInt8[np.ndarray, "t h w c"]:
    """The images on display at rising moments."""
    width, height = _resized(index.info.width, index.info.height, short_side)
    images = np.empty((len(moments), height, width, 3), dtype=np.uint8)
    reformatter = VideoReformatter()
    filled, converted = 0, None
    with _open(path) as (container, stream):
        frames = _frames(path, container, stream, index, index.packet_before(moments[0]))
        for frame in _on_display(_in_display_order(frames, index.reordering), moments):
            if frame is converted:
                images[filled] = images[filled - 1]
            else:
                rgb = reformatter.reformat(
                    frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
                )
                images[filled] = rgb.to_ndarray()
            filled, converted = filled + 1, frame
    if filled < len(moments):
        raise InputError(f"No frame of {path} can be decoded: download the video again or leave it out.")
    return images


def _resized(width: int, height: int, short_side: int) -> tuple[int, int]:
    if width < height:
        return short_side, round(height * short_side / width)
    return round(width * short_side / height), short_side


def _frames(
    path: Path, container: InputContainer, stream: VideoStream, index: _Index, start: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Decoded frames and their times, from a packet on.

    A packet that does not decode is passed over, so that the frame before it stays on display: but
    not for longer than a second.
    """
    failed, number = 0, start
    for packet in chain(islice(_packets(container, stream), start, None), [None]):  # None: what is still inside
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            failed += 1
            if failed > index.info.fps:
                raise InputError(
                    f"{path} cannot be decoded for more than a second ({_reason(error)}): "
                    f"download the video again or leave it out."
                ) from error
            continue
        for frame in frames:
            failed = 0
            yield (frame.pts if index.stamped and frame.pts is not None else number), frame
            number += 1


def _in_display_order(
    frames: Iterable[tuple[int, av.VideoFrame]], reordering: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Repairs times: frames leave a decoder in display order, but may bear those of decoding order."""
    times: list[int] = []
    waiting: deque[av.VideoFrame] = deque()
    for time, frame in frames:
        heapq.heappush(times, time)
        waiting.append(frame)
        if len(waiting) > reordering:
            yield heapq.heappop(times), waiting.popleft()
    while waiting:
        yield heapq.heappop(times), waiting.popleft()


def _on_display(frames: Iterable[tuple[int, av.VideoFrame]], moments: list[int]) -> Iterator[av.VideoFrame]:
    """For each of the rising moments the last frame displayed by then, or else the first there is."""
    waiting = deque(moments)
    shown = None
    for time, frame in frames:
        while shown is not None and waiting and waiting[0] < time:
            waiting.popleft()
            yield shown
        if not waiting:
            return
        shown = frame
    if shown is not None:
        yield from repeat(shown, len(waiting))
