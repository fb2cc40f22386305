"""Video files as tensors, frame-exact, on a timeline of constant frame rate (see `timeline`).

A clip is decoded from the last keyframe before it, a short video looped.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
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

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.damage import note
from i3d_lightning.video.timeline import (
    Timeline,
    VideoInfo,
    open_video,
    read_packets,
    read_timeline,
    reason,
)


def probe(path: Path) -> VideoInfo:
    """Describe a video without decoding it.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    return read_timeline(path).info


def length(path: Path, *, fps: float) -> int:
    """Count the frames of a video's timeline at `fps` frames per second, known without decoding it.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    return read_timeline(path).length(fps)


def pairs(path: Path, *, fps: float) -> int:
    """Count the pairs of neighbouring frames of a video's timeline, of which each has a flow field.

    Raises:
        UnreadableVideoError: The video cannot be read or has a single frame.
    """
    count = length(path, fps=fps) - 1
    if not count:
        raise UnreadableVideoError(f"{path} has a single frame and therefore no flow: leave it out.")
    return count


def read_clip(
    path: Path, start: int, frames: int, *, fps: float, short_side: int, step: int = 1
) -> UInt8[Tensor, "c t h w"]:
    """Read frames of a video's timeline, looped where the video is shorter.

    Frames are resized in one step with their conversion to RGB, by swscale's bilinear filter, which
    averages when it shrinks; a frame whose shorter side fits already keeps its size.

    Args:
        path: A video file of any format that FFmpeg reads.
        start: First frame on the timeline.
        frames: Number of frames.
        fps: Frame rate of the timeline, in frames per second.
        short_side: Length of the frames' shorter side, in pixels.
        step: Distance between the frames read: 1 for consecutive ones.

    Raises:
        UnreadableVideoError: The file is missing, empty, not a video, or too little of it is left.
    """
    timeline = read_timeline(path)
    length = timeline.length(fps)
    if timeline.broken_off and length < frames:
        raise UnreadableVideoError(
            f"{path} breaks off after {length} of {frames} frames: download it again or leave it out."
        )
    if timeline.broken_off:
        note(length, round(timeline.promised * Fraction(fps).limit_denominator(1001)))
    wanted = (start + step * np.arange(frames)) % length
    distinct, position = np.unique(wanted, return_inverse=True)
    images = _decode(path, timeline, [timeline.moment(frame, fps) for frame in distinct.tolist()], short_side)
    return torch.from_numpy(images[position]).permute(3, 0, 1, 2)


def read_video(
    path: Path, *, fps: float, short_side: int, most: int, least: int = 1
) -> UInt8[Tensor, "c t h w"]:
    """Read a whole video, or `most` frames from its middle; one shorter than `least` frames is looped.

    Raises:
        UnreadableVideoError: As `read_clip`.
    """
    total = length(path, fps=fps)
    frames = min(total, most)
    return read_clip(path, (total - frames) // 2, max(frames, least), fps=fps, short_side=short_side)


def _decode(
    path: Path, timeline: Timeline, moments: list[int], short_side: int
) -> UInt8[np.ndarray, "t h w c"]:
    """Decode the images on display at rising moments."""
    width, height = _resized(timeline.info.width, timeline.info.height, short_side)
    images = np.empty((len(moments), height, width, 3), dtype=np.uint8)
    reformatter = VideoReformatter()
    filled, converted = 0, None
    with open_video(path) as (container, stream):
        frames = _frames(path, container, stream, timeline, timeline.packet_before(moments[0]))
        for frame in _on_display(_in_display_order(frames, timeline.reordering), moments):
            if frame is converted:
                images[filled] = images[filled - 1]
            else:
                rgb = reformatter.reformat(
                    frame, width, height, "rgb24", interpolation=Interpolation.BILINEAR, threads=1
                )
                images[filled] = rgb.to_ndarray()
            filled, converted = filled + 1, frame
    if filled < len(moments):
        raise UnreadableVideoError(
            f"No frame of {path} can be decoded: download the video again or leave it out."
        )
    return images


def _resized(width: int, height: int, short_side: int) -> tuple[int, int]:
    if width < height:
        return short_side, round(height * short_side / width)
    return round(width * short_side / height), short_side


def _frames(
    path: Path, container: InputContainer, stream: VideoStream, timeline: Timeline, start: int
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield decoded frames and their times, from a packet on.

    A packet that does not decode is passed over, so that the frame before it stays on display: but
    not for longer than a second.
    """
    failed, number = 0, start
    for packet in chain(islice(read_packets(container, stream), start, None), [None]):  # None flushes
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError as error:
            failed += 1
            if failed > timeline.info.fps:
                raise UnreadableVideoError(
                    f"{path} cannot be decoded for more than a second ({reason(error)}): "
                    f"download the video again or leave it out."
                ) from error
            continue
        for frame in frames:
            failed = 0
            time = frame.pts if timeline.stamped else number
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
