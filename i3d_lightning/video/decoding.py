"""Video files as tensors, frame-exact, on a timeline of constant frame rate (see `timeline`).

All is read beyond the `boundary`; what is missing or corrupt of a video is noted (see `damage`). A segment of
a file is read as if it were a file of its own.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video import boundary
from i3d_lightning.video.file import Segment
from i3d_lightning.video.frames import VideoInfo, count_frames, describe, frames_shown, read_frames

STRETCH = 512
"""Frames of a long video to read at a time: of 256 px some 130 MB, and more than usually lie between two
keyframes, as each reading decodes from the one before it."""


def probe(path: Path, segment: Segment | None = None) -> VideoInfo:
    """Describe a video, of which at most one frame is decoded.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    return boundary.ask(describe, path, segment)


def length(path: Path, *, fps: float, segment: Segment | None = None) -> int:
    """Count the frames of a video's timeline at `fps` frames per second, known without decoding it.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    return boundary.ask(count_frames, path, fps, segment)


def shown(path: Path, *, fps: float) -> tuple[int, list[int]]:
    """Count a video's own frames, and number those that each frame of its timeline at `fps` shows.

    Raises:
        UnreadableVideoError: The file is missing, empty or not a video.
    """
    return boundary.ask(frames_shown, path, fps)


def pairs(path: Path, *, fps: float, segment: Segment | None = None) -> int:
    """Count the pairs of neighbouring frames of a video's timeline, of which each has a flow field.

    Raises:
        UnreadableVideoError: The video cannot be read or has a single frame.
    """
    count = length(path, fps=fps, segment=segment) - 1
    if not count:
        what = f"The segment of {path} from {segment.start:g} to {segment.end:g} s" if segment else str(path)
        raise UnreadableVideoError(f"{what} has a single frame and therefore no flow: leave it out.")
    return count


def read_clip(
    path: Path,
    start: int,
    frames: int,
    *,
    fps: float,
    short_side: int | None,
    aspect: float = 0.0,
    step: int = 1,
    period: int | None = None,
    segment: Segment | None = None,
    needed: int | None = None,
) -> UInt8[Tensor, "c t h w"]:
    """Read frames of a video's timeline, upright, looped where the video is shorter.

    Frames are resized in one step with their conversion to RGB, by swscale's bilinear filter, which
    averages when it shrinks; a frame whose shorter side fits already keeps its size.

    Args:
        path: A video file of one of `container.FORMATS`.
        start: First frame on the timeline.
        frames: Number of frames.
        fps: Frame rate of the timeline, in frames per second.
        short_side: Length of the frames' shorter side, in pixels; None leaves them as they are.
        aspect: Width / height that they are squeezed to; 0 keeps theirs.
        step: Distance between the frames read: 1 for consecutive ones.
        period: Frames after which a looped video starts again, where that is before its end.
        segment: The part of the file that is the video.
        needed: Frames of the timeline that must be there where the file breaks off; by default as many as
            these cover. Who reads a clip piece by piece needs all of it.

    Raises:
        UnreadableVideoError: The file is missing, empty, not a video, too little of it is left, or it would
            cost more than `budgets` allow.
    """
    images, position = boundary.read(
        read_frames, path, start, frames, fps, short_side, aspect, step, period, segment, needed
    )
    return torch.from_numpy(images[position]).permute(3, 0, 1, 2)


def read_video(
    path: Path, *, fps: float, short_side: int, most: int, least: int = 1
) -> UInt8[Tensor, "c t h w"]:
    """Read a whole video, or its first `most` frames; one shorter than `least` frames is looped.

    Raises:
        UnreadableVideoError: As `read_clip`.
    """
    frames = min(length(path, fps=fps), most)
    return read_clip(path, 0, max(frames, least), fps=fps, short_side=short_side)
