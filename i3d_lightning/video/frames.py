"""Frames of video files as arrays, frame-exact; what the decoding process does (see `decoder`).

A clip is decoded from the last keyframe before it, a short video looped.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice, repeat
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import budgets
from i3d_lightning.video.container import is_sound, open_video, packets_of, reason
from i3d_lightning.video.damage import note
from i3d_lightning.video.file import Segment
from i3d_lightning.video.timeline import Timeline, displayed, read_timeline

Empty = Callable[[tuple[int, ...]], np.ndarray]
"""Makes an array of bytes of a shape, where the caller wants it."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        frames: Frames stored in the file.
        fps: Its own frame rate, in frames per second.
        height: Height in pixels, as the video is shown.
        width: Width in pixels, as the video is shown.
        seconds: How long it lasts.
    """

    frames: int
    fps: float
    height: int
    width: int
    seconds: float


def describe(path: Path, segment: Segment | None = None) -> VideoInfo:
    """Describe a video by its packets and, where that may be turned, its first frame.

    Raises:
        UnreadableVideoError: The file is not a video.
    """
    timeline = read_timeline(path, segment)
    if timeline.promised > timeline.frames:
        note(timeline.frames, timeline.promised)
    transposed = timeline.can_be_turned and _first_orientation(path, timeline).transposed
    size = timeline.width, timeline.height
    width, height = reversed(size) if transposed else size
    return VideoInfo(timeline.frames, float(timeline.rate), height, width, float(timeline.seconds))


def _first_orientation(path: Path, timeline: Timeline) -> Orientation:
    with open_video(path) as (container, stream):
        for _, frame in _Frames(path, container, stream, timeline, 0):
            return Orientation.of(frame)
    raise _undecodable(path)


def count_frames(path: Path, fps: float, segment: Segment | None = None) -> int:
    """Count the frames of a video's timeline at `fps` frames per second."""
    return read_timeline(path, segment).length(fps)


def frames_shown(path: Path, fps: float) -> tuple[int, list[int]]:
    """Count a video's own frames, and number those that each frame of its timeline at `fps` shows."""
    timeline = read_timeline(path)
    return timeline.frames, displayed(timeline, fps)


def read_frames(
    path: Path,
    start: int,
    frames: int,
    fps: float,
    short_side: int | None,
    aspect: float,
    step: int,
    period: int | None,
    segment: Segment | None,
    needed: int | None,
    *,
    empty: Empty,
) -> tuple[np.ndarray, np.ndarray]:
    """Read frames of a video's timeline, each that differs once.

    Args:
        path: A video file.
        start: First frame on the timeline.
        frames: Number of frames, looped where the video is shorter.
        fps: Frame rate of the timeline, in frames per second.
        short_side: Length of the frames' shorter side, in pixels; None leaves them as they are.
        aspect: Width / height that they are squeezed to; 0 keeps theirs.
        step: Distance between the frames read.
        period: Frames after which a looped video starts again, where that is before its end.
        segment: The part of the file that is the video.
        needed: Frames that must be there where the file breaks off, if other than those read.
        empty: Makes the array that frames are written to.

    Returns:
        Frames, uint8 `t h w c`, and for each that was asked for its number among them.

    Raises:
        UnreadableVideoError: The file is not a video, too little of it is left, or it would cost too much.
    """
    timeline = read_timeline(path, segment)
    length = timeline.length(fps)
    needed = needed or step * frames
    if timeline.broken_off and length < needed:
        raise UnreadableVideoError(
            f"{path} breaks off after {length} of {needed} frames: download it again or leave it out."
        )
    wanted = (start + step * np.arange(frames)) % min(length, period or length)
    distinct, position = np.unique(wanted, return_inverse=True)
    moments = [timeline.moment(frame, fps) for frame in distinct.tolist()]
    return _decode(path, timeline, moments, short_side, aspect, empty), position


def _decode(
    path: Path,
    timeline: Timeline,
    moments: list[int],
    short_side: int | None,
    aspect: float,
    empty: Empty,
) -> np.ndarray:
    """Decode the images on display at rising moments, upright."""
    width, height = timeline.width, timeline.height
    if short_side is not None:
        width, height = _resized(width, height, short_side)
    budgets.check_answer(path, len(moments), width, height)
    reformatter = VideoReformatter()
    images: np.ndarray | None = None
    filled, corrupt, converted = 0, 0, None
    with open_video(path) as (container, stream):
        frames = _Frames(path, container, stream, timeline, timeline.packet_before(moments[0]))
        for frame in _on_display(_in_display_order(frames, timeline.reordering), moments):
            orientation = Orientation.of(frame)
            if images is None:
                if short_side is not None and aspect:
                    upright = squeezed(short_side, aspect)
                    width, height = upright[::-1] if orientation.transposed else upright
                    budgets.check_answer(path, len(moments), width, height)
                shape = (width, height) if orientation.transposed else (height, width)
                images = empty((len(moments), *shape, 3))
            if frame is converted:
                images[filled] = images[filled - 1]
            else:
                _check_shape(path, frame, timeline)
                corrupt += frame.is_corrupt
                rgb = reformatter.reformat(
                    frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
                )
                images[filled] = orientation.upright(rgb.to_ndarray())
            filled, converted = filled + 1, frame
    if images is None or filled < len(moments):
        raise _undecodable(path)
    sound = max(0, timeline.frames - corrupt - frames.failed)
    if sound < timeline.promised:
        note(sound, timeline.promised)
    return images


def _undecodable(path: Path) -> UnreadableVideoError:
    return UnreadableVideoError(
        f"No frame of {path} can be decoded: download the video again or leave it out."
    )


def _resized(width: int, height: int, short_side: int) -> tuple[int, int]:
    if width < height:
        return short_side, round(height * short_side / width)
    return round(width * short_side / height), short_side


def squeezed(short_side: int, aspect: float) -> tuple[int, int]:
    """Find width and height, in pixels, of frames of a given shape whose shorter side is given."""
    return (
        (short_side, round(short_side / aspect)) if aspect < 1 else (round(short_side * aspect), short_side)
    )


def _check_shape(path: Path, frame: av.VideoFrame, timeline: Timeline) -> None:
    """Refuse frames that turn into another shape; of another size, they are resized to the same."""
    ratio = frame.width * timeline.height / max(1, frame.height * timeline.width)
    if not 0.9 < ratio < 1.1:
        raise UnreadableVideoError(
            f"{path} changes from {timeline.width}x{timeline.height} to {frame.width}x{frame.height} px in "
            f"mid-stream: cut it there or leave it out."
        )


@dataclass(frozen=True)
class Orientation:
    """How stored frames are turned to be shown, by quarters.

    Attributes:
        transposed: Rows become columns, first.
        left_right: Then left and right change places.
        up_down: And up and down.
    """

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Orientation:
        """Take the nearest one to a frame's display matrix, by which phones say how they were held."""
        data = next((d for d in frame.side_data if d.type == SideData.DISPLAYMATRIX), None)
        if data is None:
            return cls()
        # A stored pixel (x, y) is shown at (a x + c y, b x + d y), see FFmpeg's libavutil/display.h.
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32, 5).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def upright(self, image: np.ndarray) -> np.ndarray:
        """Turn an image `h w c`."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.up_down else 1, :: -1 if self.left_right else 1]


class _Frames:
    """Decoded frames and their times, from a packet on.

    A packet that does not decode is passed over, so that the frame before it stays on display: but
    not for longer than a second.

    Attributes:
        failed: Packets that did not decode so far.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: VideoStream, timeline: Timeline, start: int
    ) -> None:
        self._path, self._stream, self._timeline, self._start = path, stream, timeline, start
        self._packets = islice(filter(is_sound, packets_of(container, stream)), start, None)
        self.failed = 0

    def __iter__(self) -> Iterator[tuple[int, av.VideoFrame]]:
        in_a_row, number = 0, self._start
        for packet in chain(self._packets, [None]):  # None flushes
            try:
                frames = self._stream.codec_context.decode(packet)
            except av.FFmpegError as error:
                self.failed += 1
                in_a_row += 1
                if in_a_row > self._timeline.rate:
                    raise UnreadableVideoError(
                        f"{self._path} cannot be decoded for more than a second ({reason(error)}): "
                        f"download the video again or leave it out."
                    ) from error
                continue
            for frame in frames:
                in_a_row = 0
                time = frame.pts if self._timeline.stamped else number
                number += 1
                if time is not None:
                    yield time, frame


def _in_display_order(
    frames: Iterable[tuple[int, av.VideoFrame]], reordering: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Repair times: frames leave a decoder in display order, but may bear those of decoding order."""
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
    """Yield for each of the rising moments the last frame displayed by then, or else the first there is."""
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
