"""Still images as clips of one frame, for networks that are trained on them first."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.video import boundary
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.pictures import read_picture


@dataclass(frozen=True)
class ImageFrames:
    """Images as a network sees videos: each has a single frame.

    Attributes:
        short_side: Length that the shorter side is resized to, in pixels.
    """

    short_side: int
    is_flow = False

    def length(self, video: VideoFile) -> int:
        return 1

    def read(
        self, video: VideoFile, start: int, frames: int, period: int | None = None
    ) -> UInt8[Tensor, "3 t h w"]:
        """Read the image, as often as frames are asked for.

        Raises:
            UnreadableVideoError: The file is missing, or no image.
        """
        video.check()
        image, _ = boundary.read(read_picture, video.path, self.short_side)
        return torch.from_numpy(image.copy()).permute(2, 0, 1)[:, None].expand(-1, frames, -1, -1)
