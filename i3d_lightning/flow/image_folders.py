"""Flow that others computed and distribute as images, x and y in a greyscale image each, for every field.

Two layouts are known, with a folder for each video, named as its file without the ending, at any depth:
`<video>/flow_x_00001.jpg` and `flow_y_00001.jpg` (dense_flow, https://github.com/yjxiong/dense_flow), and
`u/<video>/frame000001.jpg` and `v/<video>/frame000001.jpg` (Feichtenhofer's,
https://github.com/feichtenhofer/twostreamfusion). Values stand for -20 to 20 px, as in our own store.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest
from i3d_lightning.video.file import VideoFile


@dataclass(frozen=True)
class FlowImages:
    """Flow fields of videos, read from images.

    They are taken as they are in time: videos of another frame rate than the images are not resampled.

    Attributes:
        root: Folder of the images.
        short_side: Length that the shorter side is resized to, in pixels; displacements are scaled with it.
    """

    root: Path
    short_side: int
    is_flow = True

    def length(self, video: VideoFile) -> int:
        """Count the fields of a video.

        Raises:
            InputError: There are no images of this video, or not as many for y as for x.
        """
        return len(self._files(video)[0])

    def read(self, video: VideoFile, start: int, frames: int) -> UInt8[Tensor, "2 t h w"]:
        """Read consecutive fields, looped where there are fewer.

        Raises:
            InputError: There are no images of this video, or one cannot be read.
        """
        files = self._files(video)
        numbers = (start + np.arange(frames)) % len(files[0])
        fields = [[_read(direction[n], self.short_side) for n in numbers] for direction in files]
        try:
            return torch.from_numpy(np.array(fields))
        except ValueError as error:
            raise InputError(
                f"The flow images of {video.path.stem} below {self.root} differ in size."
            ) from error

    def _files(self, video: VideoFile) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        video.check()
        name = video.path.stem
        for x, y in ((f"{name}/flow_x_*", f"{name}/flow_y_*"), (f"u/{name}/*", f"v/{name}/*")):
            found = _listing(self.root, x), _listing(self.root, y)
            if found[0] or found[1]:
                break
        if not found[0] or len(found[0]) != len(found[1]):
            raise InputError(
                f"Below {self.root} there are {len(found[0])} flow images of {name} in x and "
                f"{len(found[1])} in y: as many of each are needed, in <video>/flow_x_*.jpg and flow_y_*.jpg "
                "or u/<video> and v/<video>."
            )
        return found


def folder_of_images(source: str) -> Path:
    """Take what `flow.source` says for a folder of images.

    Raises:
        InputError: There is no such folder.
    """
    if not Path(source).is_dir():
        raise InputError(
            f"flow.source is {source}, but must be stored, computed, or a folder of flow images."
        )
    return Path(source)


def state_of(source: str) -> str:
    """Digest the names, sizes and times of all files below a folder of images.

    Raises:
        InputError: There is no such folder.
    """
    root = folder_of_images(source)
    files = ((path, path.stat()) for path in root.rglob("*") if path.is_file())
    return digest(sorted((p.relative_to(root).as_posix(), s.st_size, s.st_mtime_ns) for p, s in files))


@lru_cache(maxsize=65536)
def _listing(root: Path, pattern: str) -> tuple[Path, ...]:
    return tuple(sorted(root.glob(pattern)) or sorted(root.glob(f"*/{pattern}")))


def _read(file: Path, short_side: int) -> UInt8[np.ndarray, "h w"]:
    image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_GRAYSCALE) if file.stat().st_size else None
    if image is None:
        raise InputError(f"{file} cannot be read as an image: it may be cut off, get it again.")
    scale = short_side / min(image.shape)
    if scale == 1:
        return image
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    resized = cv2.resize(image.astype(np.float32) - 127.5, size, interpolation=cv2.INTER_LINEAR)
    return (resized * scale + 127.5).round().clip(0, 255).astype(np.uint8)
