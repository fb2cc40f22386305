"""Flow that others computed and distribute as images, x and y in a greyscale image each, for every field.

Two layouts are known, with a folder for each video, named as its file without the ending, at any depth:
`<video>/flow_x_00001.jpg` and `flow_y_00001.jpg` (dense_flow, https://github.com/yjxiong/dense_flow), and
`u/<video>/frame000001.jpg` and `v/<video>/frame000001.jpg` (Feichtenhofer's,
https://github.com/feichtenhofer/twostreamfusion). Values stand for -20 to 20 px, as in our own store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from i3d_lightning.errors import InputError
from i3d_lightning.recipe import digest
from i3d_lightning.video import boundary
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.pictures import read_flow_images


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
        x, y = ([direction[number] for number in numbers] for direction in files)
        fields, _ = boundary.read(read_flow_images, x[0], x, y, self.short_side)
        return torch.from_numpy(fields.copy())

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
        if len(places := sorted({path.parent for path in found[0]})) > 1:
            raise InputError(
                f"Below {self.root} there are several folders of flow images of {name}, such as {places[0]} "
                f"and {places[1]}: give each video a name of its own."
            )
        return found


def one_each(videos: Iterable[VideoFile], source: str) -> None:
    """Make sure that no two videos would get the flow images of one.

    Raises:
        InputError: Two files have the same name but for their folders and endings.
    """
    seen: dict[str, Path] = {}
    for video in videos:
        other = seen.setdefault(video.path.stem, video.path)
        if other != video.path:
            raise InputError(
                f"{other} and {video.path} would get the same flow images below {source}, which are found by "
                "a video's name alone: give each a name of its own."
            )


def folder_of_images(source: str) -> Path:
    """Take what `flow.source` says for a folder of images.

    Raises:
        InputError: There is no such folder.
    """
    if not Path(source).is_dir():
        raise InputError(
            f"flow.source is {source}, but must be stored, computed, or a folder of flow images."
        )
    return Path(source).absolute()  # whoever reads them may be in another folder


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
