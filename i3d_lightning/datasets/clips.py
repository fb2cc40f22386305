"""Videos as items to train, validate and test on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from i3d_lightning.datasets.videos import Video
from i3d_lightning.plan import Clips, InputError
from i3d_lightning.video import decoding, sampling, transforms

_ATTEMPTS = 16
"""Videos tried before training gives up: so many in a row mean a wrong folder, not a bad file."""

Item = dict[str, Any]


class Frames(Protocol):
    """What a stream sees of a video, frames or flow fields, addressed alike."""

    def length(self, path: Path) -> int: ...

    def read(self, path: Path, start: int, frames: int) -> Tensor: ...


@dataclass(frozen=True)
class RGBFrames:
    """The frames of videos at a frame rate (frames per second) and shorter side (pixels)."""

    fps: float
    short_side: int

    def length(self, path: Path) -> int:
        return decoding.length(path, fps=self.fps)

    def read(self, path: Path, start: int, frames: int) -> Tensor:
        return decoding.read_clip(path, start, frames, fps=self.fps, short_side=self.short_side)


@dataclass(frozen=True)
class TrainingClips(Dataset[Item]):
    """Random clips, addressed by their number in the whole run: pass after pass over the videos.

    What a number gives depends on the seed alone, not on which clips were drawn before. A video
    that cannot be read is replaced by another and named under `unreadable`.

    Attributes:
        videos: Videos to draw from.
        frames: Reads them.
        clips: Length, crop and augmentation.
        is_flow: Whether frames are flow fields.
        seed: Seed of order and augmentation.
    """

    videos: Sequence[Video]
    frames: Frames
    clips: Clips
    is_flow: bool
    seed: int

    def __getitem__(self, draw: int) -> Item:
        return _first_readable(self.videos, self._candidates(draw), lambda video: self._clip(video, draw))

    def _candidates(self, draw: int) -> Iterator[int]:
        pass_, position = divmod(draw, len(self.videos))
        yield _order(len(self.videos), self.seed, pass_)[position]
        replacements = sampling.draw_generator(self.seed, draw, "replacement")
        while True:
            yield int(torch.randint(len(self.videos), (), generator=replacements))

    def _clip(self, video: Video, draw: int) -> Tensor:
        generator = sampling.draw_generator(self.seed, draw, video.id)
        length = self.frames.length(video.path)
        start = sampling.random_start(length, self.clips.train_frames, generator)
        clip = self.frames.read(video.path, start, self.clips.train_frames)
        clip = transforms.random_crop(clip, self.clips.crop, generator)
        if self.clips.flip and torch.rand((), generator=generator) < 0.5:
            clip = transforms.flip_flow(clip) if self.is_flow else transforms.flip(clip)
        if self.clips.photometric_jitter and not self.is_flow:
            clip = transforms.photometric_jitter(clip, self.clips.photometric_jitter, generator)
        return clip.contiguous()


@lru_cache(maxsize=2)
def _order(videos: int, seed: int, pass_: int) -> list[int]:
    return sampling.permutation(videos, seed, pass_)


@dataclass(frozen=True)
class CentreClips(Dataset[Item]):
    """For each video the clip of training length in its middle; an unreadable one is replaced by the next."""

    videos: Sequence[Video]
    frames: Frames
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Item:
        return _first_readable(
            self.videos, ((index + step) % len(self) for step in range(len(self))), self._clip
        )

    def _clip(self, video: Video) -> Tensor:
        start = sampling.centre_start(self.frames.length(video.path), self.clips.train_frames)
        clip = self.frames.read(video.path, start, self.clips.train_frames)
        return transforms.centre_crop(clip, self.clips.crop).contiguous()


@dataclass(frozen=True)
class WholeVideos(Dataset[Item]):
    """Every video as it is tested: all of it up to `test_frames` from its middle, cropped in the centre.

    One shorter than a training clip is looped to that length. One that cannot be read has no clip,
    but an `error`.
    """

    videos: Sequence[Video]
    frames: Frames
    clips: Clips

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Item:
        video = self.videos[index]
        try:
            return {"clip": self._clip(video), "label": video.label, "index": index, "error": None}
        except InputError as error:
            return {"clip": None, "label": video.label, "index": index, "error": str(error)}

    def _clip(self, video: Video) -> Tensor:
        length = self.frames.length(video.path)
        frames = min(length, self.clips.test_frames)
        least = min(self.clips.train_frames, self.clips.test_frames)
        clip = self.frames.read(video.path, sampling.centre_start(length, frames), max(frames, least))
        return transforms.centre_crop(clip, self.clips.crop).contiguous()


def _first_readable(
    videos: Sequence[Video], candidates: Iterator[int], read: Callable[[Video], Tensor]
) -> Item:
    """The clip of the first candidate that can be read, and why those before it could not be."""
    unreadable: dict[str, str] = {}
    for index in islice(candidates, _ATTEMPTS):
        try:
            clip = read(videos[index])
            return {"clip": clip, "label": videos[index].label, "index": index, "unreadable": unreadable}
        except InputError as error:
            unreadable[videos[index].id] = str(error)
    return {"clip": None, "label": -1, "index": -1, "unreadable": unreadable}


def collate(items: Sequence[Item]) -> Item:
    """Readable items as a batch: `clip` (uint8 `b c t h w`), `label` and `index` (b), `unreadable`."""
    if any(item["clip"] is None for item in items):
        clip = None
    else:
        clip = torch.stack([item["clip"] for item in items])
    return {
        "clip": clip,
        "label": torch.tensor([item["label"] for item in items]),
        "index": torch.tensor([item["index"] for item in items]),
        "unreadable": {id_: why for item in items for id_, why in item["unreadable"].items()},
    }


def collate_whole(items: Sequence[Item]) -> Item:
    """One whole video as a batch of 1: `clip` or None, `label`, `index`, `error`."""
    (item,) = items
    return {
        "clip": None if item["clip"] is None else item["clip"][None],
        "label": torch.tensor([item["label"]]),
        "index": torch.tensor([item["index"]]),
        "error": item["error"],
    }
