"""Frames resized as the authors of other networks did: by PyTorch, whatever it costs.

FFmpeg resizes in the pass that converts to RGB, and averages when it shrinks; torchvision's reference scripts
and pytorchvideo's transforms do not average, and a network trained on such frames is tested on them.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Shaped, UInt8
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as averaging

from i3d_lightning.video import transforms
from i3d_lightning.video.decoding import probe, read_clip
from i3d_lightning.video.file import Segment
from i3d_lightning.video.frames import squeezed

NOT_AVERAGED = ("bilinear", "bilinear-float")
AVERAGED = {"antialias": InterpolationMode.BILINEAR, "antialias-bicubic": InterpolationMode.BICUBIC}

_AT_ONCE, _BYTES = 32, 2**28
"""Frames held at their own size at once: so many, and more as long as they take no more bytes."""


def read_resized(
    path: Path,
    start: int,
    frames: int,
    *,
    fps: float,
    short_side: int,
    aspect: float,
    interpolation: str,
    step: int = 1,
    period: int | None = None,
    segment: Segment | None = None,
) -> Shaped[Tensor, "c t h w"]:
    """Read frames as `decoding.read_clip` does, but resized by PyTorch.

    Returns:
        uint8, or float32 in [0, 255] for `bilinear-float`.

    Raises:
        UnreadableVideoError: As `decoding.read_clip`.
    """
    parts, most = [], _at_once(path, frames, segment)
    for first in range(0, frames, most):
        begin, count = start + step * first, min(most, frames - first)
        own = read_clip(
            path,
            begin,
            count,
            fps=fps,
            short_side=None,
            step=step,
            period=period,
            segment=segment,
            needed=step * frames,
        )
        parts.append(resize(own, short_side, aspect, interpolation))
    return torch.cat(parts, dim=1)


def _at_once(path: Path, frames: int, segment: Segment | None) -> int:
    """How many frames to read at once: many, as each reading decodes from the keyframe before it."""
    if frames <= _AT_ONCE:
        return frames
    about = probe(path, segment)
    return max(_AT_ONCE, _BYTES // (3 * about.height * about.width))


def resize(
    clip: UInt8[Tensor, "c t h w"], short_side: int, aspect: float, interpolation: str
) -> Shaped[Tensor, "c t i j"]:
    """Resize every frame.

    Args:
        clip: RGB frames.
        short_side: Length of their shorter side then, in pixels; the longer one is cut to whole pixels as by
            torchvision and pytorchvideo.
        aspect: Width / height that they are squeezed to; 0 keeps theirs.
        interpolation: One of `NOT_AVERAGED` or `AVERAGED`, see `recipe.Clips`.
    """
    height, width = clip.shape[-2:]
    if aspect:
        size = squeezed(short_side, aspect)[::-1]
    elif height < width:
        size = (short_side, int(short_side * width / height))
    else:
        size = (int(short_side * height / width), short_side)
    if size == (height, width):
        return clip.float() if interpolation == "bilinear-float" else clip
    frames = clip.movedim(1, 0)
    if interpolation in AVERAGED:  # in whole numbers where torchvision does that, and so equal to the bit
        return averaging.resize(frames, list(size), AVERAGED[interpolation], antialias=True).movedim(0, 1)
    resized = F.interpolate(frames.float(), size, mode="bilinear").movedim(0, 1)
    if interpolation == "bilinear-float":
        return resized
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def centre_place(shape: torch.Size, size: int, interpolation: str) -> tuple[int, int]:
    """Find the square in the middle as those do who resize in this way, see `transforms.centre_place`."""
    return transforms.centre_place(shape, size, nearest=interpolation in NOT_AVERAGED)
