"""Still images as clips of one frame, for networks that are trained on them first."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.errors import UnreadableVideoError
from i3d_lightning.video.file import VideoFile

# A pool of OpenCV's threads that was started before a fork hangs in the child, as data-loading workers are.
cv2.setNumThreads(0)


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

    def read(self, video: VideoFile, start: int, frames: int) -> UInt8[Tensor, "3 t h w"]:
        """Read the image, as often as frames are asked for.

        Raises:
            UnreadableVideoError: The file is missing, or no image.
        """
        video.check()
        path = video.path
        try:
            content = np.fromfile(path, np.uint8)
        except OSError as error:
            raise UnreadableVideoError(
                f"{path} cannot be read ({error.strerror}): check the file."
            ) from error
        image = cv2.imdecode(content, cv2.IMREAD_COLOR_RGB) if len(content) else None
        if image is None:
            raise UnreadableVideoError(
                f"{path} cannot be read as an image: download it again or leave it out."
            )
        height, width = image.shape[:2]
        scale = self.short_side / min(height, width)
        size = (max(self.short_side, round(width * scale)), max(self.short_side, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        return torch.from_numpy(image).permute(2, 0, 1)[:, None].expand(-1, frames, -1, -1)
