"""Flow that others computed and distribute as images, x and y in a greyscale image each, for every field.

Two layouts are known, with a folder for each video, named as its file without the ending, at any depth:
`<video>/flow_x_00001.jpg` and `flow_y_00001.jpg` (dense_flow, https://github.com/yjxiong/dense_flow), and
`u/<video>/frame000001.jpg` and `v/<video>/frame000001.jpg` (Feichtenhofer's,
https://github.com/feichtenhofer/twostreamfusion). Values stand for -20 to 20 px, as in our own store.

They are of neighbouring frames, t to t + 1, either of the video at its own rate, as such folders usually are,
or of its timeline at the recipe's; how many there are tells which. In the first case they are resampled as
the timeline is: where that leaves frames out, a step's motion is the sum of the fields that it spans, and
where it repeats a frame there is none.
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

from i3d_lightning.errors import InputError, UnreadableVideoError
from i3d_lightning.recipe import digest
from i3d_lightning.video import boundary, decoding
from i3d_lightning.video.file import VideoFile
from i3d_lightning.video.pictures import read_flow_images

Files = tuple[tuple[Path, ...], tuple[Path, ...]]
"""The images of a video's x and y, in order."""

_STILL = 127.5
"""What stands for no motion, on average."""


@dataclass(frozen=True)
class FlowImages:
    """Flow fields of videos, read from images: one for each step of a video's timeline.

    Attributes:
        root: Folder of the images.
        fps: Frame rate of the timeline, in frames per second.
        short_side: Length that the shorter side is resized to, in pixels; displacements are scaled with it.
    """

    root: Path
    fps: float
    short_side: int
    is_flow = True

    def length(self, video: VideoFile) -> int:
        """Count the fields of a video.

        Raises:
            UnreadableVideoError: It cannot be read or has a single frame.
            InputError: There are no images of this video, not as many for y as for x, or not of its frames.
        """
        return len(self._steps(video, self._files(video))) - 1

    def read(
        self, video: VideoFile, start: int, frames: int, period: int | None = None
    ) -> UInt8[Tensor, "2 t h w"]:
        """Read consecutive fields, looped where there are fewer, or after `period`.

        Raises:
            UnreadableVideoError: The video cannot be read.
            InputError: There are no images of this video, or one cannot be read.
        """
        files = self._files(video)
        steps = self._steps(video, files)
        length = len(steps) - 1
        times = (start + np.arange(frames)) % min(length, period or length)
        begins, ends = steps[times], steps[times + 1]
        wanted = np.unique(np.concatenate([np.arange(*span) for span in zip(begins, ends, strict=True)]))
        wanted = wanted if len(wanted) else begins[:1]  # nothing moves, but it has a size
        x, y = ([direction[number] for number in wanted] for direction in files)
        images, _ = boundary.read(read_flow_images, x[0], x, y, self.short_side)
        fields = np.empty((2, frames, *images.shape[2:]), np.uint8)
        for time, (begin, end) in enumerate(zip(np.searchsorted(wanted, begins), ends - begins, strict=True)):
            motion = images[:, begin : begin + end].astype(np.float32) - _STILL
            fields[:, time] = (motion.sum(1) + _STILL).round().clip(0, 255)
        return torch.from_numpy(fields)

    def _steps(self, video: VideoFile, files: Files) -> np.ndarray:
        """Number for each frame of the timeline the image that its motion begins with."""
        own, shown = decoding.shown(video.path, fps=self.fps)
        there, timeline = len(files[0]), len(shown)
        if timeline == 1:
            raise UnreadableVideoError(
                f"{video.path} has a single frame and therefore no flow: leave it out."
            )
        if there in (own - 1, own):
            return np.array(shown)
        if there in (timeline - 1, timeline):
            return np.arange(timeline)
        raise InputError(
            f"Below {self.root} there are {there} flow images of {video.path.stem}, which has {own} frames "
            f"and {timeline} at clips.fps {self.fps:g}: get one of every frame, or have flow computed."
        )

    def _files(self, video: VideoFile) -> Files:
        _check_whole(video)
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
        InputError: Two files have the same name but for their folders and endings, or one is a segment.
    """
    seen: dict[str, Path] = {}
    for video in videos:
        _check_whole(video)
        other = seen.setdefault(video.path.stem, video.path)
        if other != video.path:
            raise InputError(
                f"{other} and {video.path} would get the same flow images below {source}, which are found by "
                "a video's name alone: give each a name of its own."
            )


def _check_whole(video: VideoFile) -> None:
    if video.segment is not None:
        raise InputError(
            f"Flow images are of whole files, but of {video.path} a segment is used: have flow computed "
            "(flow.source stored or computed), or cut the file."
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
