"""Flow of the clips of a batch, computed where the network is, from frames that travel there uncropped."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.flow.estimate import estimate_flow
from i3d_lightning.recipe import Flow
from i3d_lightning.video import decoding
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.transforms import crop, flip_flow, quantise_flow


@dataclass
class FlowToCome:
    """Frames of which flow is yet to be taken, and what is to be done with it then.

    Attributes:
        frames: RGB, uint8 `3 t h w`, whole: flow is taken before they are cropped or mirrored.
        fields: Number of fields, looped where the frames give fewer.
        place: Top and left of the square to be cut out, and its side, in pixels.
        mirrored: Whether to flip it from left to right.
    """

    frames: Tensor
    fields: int
    place: tuple[int, int, int] = (0, 0, 0)
    mirrored: bool = False

    @property
    def shape(self) -> torch.Size:
        return self.frames.shape


@dataclass(frozen=True)
class FlowFromFrames:
    """Flow fields of videos, addressed as those of a `FlowStore`, to be computed on the device.

    Attributes:
        fps: Frame rate that videos are resampled to, in frames per second.
        short_side: Length of their shorter side, in pixels.
    """

    fps: float
    short_side: int
    is_flow = True

    def length(self, video: VideoFile) -> int:
        """Count the fields of a video.

        Raises:
            UnreadableVideoError: It cannot be read or has a single frame.
            ChangedFileError: It is another file than it was.
        """
        video.check()
        return decoding.pairs(video.path, fps=self.fps, segment=video.segment)

    def read(self, video: VideoFile, start: int, frames: int, period: int | None = None) -> FlowToCome:
        """Read the frames behind consecutive fields; where they are looped, those of the loop once."""
        length = self.length(video)
        length = min(length, period or length)
        first, fields = (start, frames) if start + frames <= length else (0, length)
        seen = decoding.read_clip(
            video.path,
            first,
            fields + 1,
            fps=self.fps,
            short_side=self.short_side,
            segment=video.segment,
        )
        return FlowToCome(seen, frames)


def compute_all(waiting: Sequence[FlowToCome], settings: Flow) -> UInt8[Tensor, "b 2 t h w"]:
    """Compute the clips of a batch: those of one size and length together."""
    alike: dict[torch.Size, list[int]] = defaultdict(list)
    for number, item in enumerate(waiting):
        alike[item.frames.shape].append(number)
    clips: dict[int, Tensor] = {}
    for numbers in alike.values():
        frames = torch.stack([waiting[number].frames for number in numbers])
        for number, flow in zip(numbers, estimate_flow(frames, settings), strict=True):
            item = waiting[number]
            looped = torch.arange(item.fields, device=flow.device) % len(flow)
            clip = crop(quantise_flow(flow, settings.bound)[:, looped], *item.place)
            clips[number] = flip_flow(clip) if item.mirrored else clip
    return torch.stack([clips[number] for number in range(len(waiting))])
